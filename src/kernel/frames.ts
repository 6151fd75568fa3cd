/** The frames on the driver's fd 4: u32 little-endian length, then one JSON object in UTF-8. */
const MAX_FRAME = 1024 * 1024;

/** Elsewhere than on that descriptor, more may be meant. */
export interface FrameLimit {
  readonly max: number;
}

/** Length (4 bytes, little endian), then JSON in UTF-8. Throws for more than `max` bytes. */
export function encodeFrame(message: object, { max }: FrameLimit = { max: MAX_FRAME }): Buffer {
  const body = Buffer.from(JSON.stringify(message), 'utf8');
  if (body.length > max) throw new Error(`a frame of ${body.length} bytes is too long`);
  const frame = Buffer.alloc(4 + body.length);
  frame.writeUInt32LE(body.length, 0);
  body.copy(frame, 4);
  return frame;
}

/** Cuts a byte stream into frames; call it with each chunk. Bytes that are no frame are an error. */
export function frameReader(onMessage: (message: unknown) => void, { max }: FrameLimit = { max: MAX_FRAME }): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let held = 0;
  let wanted = 4;
  return (chunk) => {
    parts.push(chunk);
    held += chunk.length;
    if (held < wanted) return;
    let pending = parts.length === 1 ? chunk : Buffer.concat(parts);
    for (wanted = 4; pending.length >= wanted; wanted = 4) {
      const length = pending.readUInt32LE(0);
      if (length > max) throw new Error(`a frame of ${length} bytes is too long`);
      wanted += length;
      if (pending.length < wanted) break;
      const body = pending.subarray(4, wanted).toString('utf8');
      pending = pending.subarray(wanted);
      onMessage(JSON.parse(body));
    }
    parts = [pending];
    held = pending.length;
  };
}
