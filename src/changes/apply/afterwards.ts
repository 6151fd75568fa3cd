import { AgentfwError, errnoOf } from '../../errors.js';

/** What follows a commit that is on the host already: whoever reads that it failed must not take the host for unchanged. `id` null: nothing landed. */
export function afterwards<T>(id: string | null, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (id === null || errnoOf(error) === null) throw error;
    if (error instanceof AgentfwError && error.code === 'AFW_UNFINISHED') throw error;
    throw new AgentfwError('AFW_UNFINISHED', `It is done, as commit ${id}, but its record could not be completed.`, {
      cause: error,
      hint: `Remove what stands in the way, then run agentfw recover; agentfw undo ${id} takes it back`,
    });
  }
}

/** A commit past its commit point that went neither forward nor back, say because the filesystem became read-only: nobody must take the host for unchanged. */
export function halfway<T>(id: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new AgentfwError('AFW_UNFINISHED', `Commit ${id} stopped half way: some of it is on the host and could not be taken back.`, {
      cause: error,
      hint: 'Remove what stands in the way, then run agentfw recover',
    });
  }
}
