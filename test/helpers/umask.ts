/** For vitest's `setupFiles`: modes that tests compare are those of the usual mask, whoever runs them. */
process.umask(0o022);
