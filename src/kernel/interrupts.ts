/** Ctrl-C, the end of the terminal, and who asks a process to end. Ctrl-\ stays a way out. */
const SIGNALS = ['SIGINT', 'SIGHUP', 'SIGTERM'] as const;

/**
 * Does all of it, whatever signal asks the process to end meanwhile: `act` doesn't
 * wait for anything, so that what follows is only a moment later.
 */
export function uninterrupted<T>(act: () => T): T {
  const goOn = (): void => undefined;
  for (const signal of SIGNALS) process.on(signal, goOn);
  try {
    return act();
  } finally {
    for (const signal of SIGNALS) process.off(signal, goOn);
  }
}
