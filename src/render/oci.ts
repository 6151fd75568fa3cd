import { createHash } from 'node:crypto';
import type { Bytes } from '../bytes.js';
import { notStill, type Omitted } from './source.js';
import { padding, tarEnd, tarHeader } from './tar-entry.js';

/** What an image says of itself (OCI image specification). */
export interface OciOptions {
  /** e.g. `amd64` */
  readonly architecture: string;
  /** ISO 8601 */
  readonly created: string;
  /** annotation `org.opencontainers.image.ref.name` */
  readonly ref: string;
}

const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * An OCI image layout, as a tar, with one uncompressed layer. `layer` is asked
 * twice for the same bytes: a blob is named by its digest, which stands before
 * it, and keeping a layer in memory or on disk for that is no option.
 */
export function* renderOci(layer: () => Generator<Buffer, Omitted[]>, options: OciOptions): Generator<Buffer, Omitted[]> {
  const described = describeLayer(layer());
  const config = blob(MEDIA.config, {
    created: options.created,
    architecture: options.architecture,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [described.digest] },
    history: [{ created: options.created, created_by: 'agentfw export' }],
  });
  const manifest = blob(MEDIA.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config: config.descriptor,
    layers: [described],
  });
  const annotations = { 'org.opencontainers.image.ref.name': options.ref };
  const index = { schemaVersion: 2, mediaType: MEDIA.index, manifests: [{ ...manifest.descriptor, annotations }] };
  yield* small('oci-layout', Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' })));
  yield* small('index.json', Buffer.from(JSON.stringify(index)));
  for (const { descriptor, content } of [config, manifest]) yield* small(blobPath(descriptor), content);
  yield header(blobPath(described), described.size);
  const omitted = yield* sameAs(described, layer());
  yield padding(described.size);
  yield tarEnd();
  return omitted;
}

function describeLayer(layer: Generator<Buffer>): Descriptor {
  const hash = createHash('sha256');
  let size = 0;
  for (const piece of layer) {
    hash.update(piece);
    size += piece.length;
  }
  return { mediaType: MEDIA.layer, digest: `sha256:${hash.digest('hex')}`, size };
}

/** Passes the layer on; throws when it is no longer the one that was described. */
function* sameAs(described: Descriptor, layer: Generator<Buffer, Omitted[]>): Generator<Buffer, Omitted[]> {
  const hash = createHash('sha256');
  for (;;) {
    const next = layer.next();
    if (next.done === true) {
      if (`sha256:${hash.digest('hex')}` !== described.digest) throw notStill('The layer');
      return next.value;
    }
    hash.update(next.value);
    yield next.value;
  }
}

function blob(mediaType: string, value: unknown): { readonly descriptor: Descriptor; readonly content: Buffer } {
  const content = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
  return { descriptor: { mediaType, digest, size: content.length }, content };
}

function blobPath({ digest }: Descriptor): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function* small(path: string, content: Buffer): Generator<Buffer> {
  yield header(path, content.length);
  yield content;
  yield padding(content.length);
}

function header(path: string, size: number): Buffer {
  return tarHeader({ path: path as Bytes, type: 'file', mode: 0o644, uid: 0, gid: 0, size, mtime: 0, link: '' as Bytes });
}
