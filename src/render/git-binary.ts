import { deflateSync } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
const LINE = 52;

/** git's test: a zero byte among the first 8,000. */
export function isBinary(content: Buffer): boolean {
  return content.subarray(0, 8000).includes(0);
}

/** A `GIT binary patch` that sets either side from nothing, so it applies and reverts. */
export function binaryPatch(before: Buffer, after: Buffer): string {
  return `GIT binary patch\n${literal(after)}\n${literal(before)}\n`;
}

function literal(content: Buffer): string {
  const packed = deflateSync(content);
  const lines = [`literal ${content.length}\n`];
  for (let at = 0; at < packed.length; at += LINE) lines.push(line(packed.subarray(at, at + LINE)));
  return lines.join('');
}

/** The length as a letter (A is 1, a is 27), then five characters for each four bytes. */
function line(bytes: Buffer): string {
  const code = bytes.length <= 26 ? 64 + bytes.length : 70 + bytes.length;
  const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  bytes.copy(padded);
  let text = String.fromCharCode(code);
  for (let at = 0; at < padded.length; at += 4) text += base85(padded.readUInt32BE(at));
  return `${text}\n`;
}

function base85(word: number): string {
  let text = '';
  for (let left = word, digit = 0; digit < 5; digit++) {
    text = (ALPHABET[left % 85] ?? '') + text;
    left = Math.floor(left / 85);
  }
  return text;
}
