/**
 * A model server on loopback that answers from a script: the Anthropic
 * Messages API, the OpenAI Responses API and Gemini's, streaming and whole. It is
 * stateless: the turn is the number of tool results already in the request, so
 * side requests (titles, quota checks) don't disturb the script.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ToolCall {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface Script {
  /** one model turn each: one tool call */
  readonly calls: readonly ToolCall[];
  /** the text of the last turn */
  readonly closing: string;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

export interface ModelServer {
  readonly url: string;
  readonly asked: readonly Asked[];
  /** what the tools answered, in order, as the last request told it */
  readonly results: () => readonly string[];
  readonly close: () => Promise<void>;
}

export async function startModelServer(script: Script): Promise<ModelServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void answer(request, response, { script, asked }).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    results: () => asked.map(({ body }) => toolResults(body)).reduce((a, b) => (b.length >= a.length ? b : a), []),
    close: () => new Promise((done) => {
      server.closeAllConnections();
      server.close(() => done());
    }),
  };
}

interface Conversation {
  readonly script: Script;
  readonly asked: Asked[];
}

async function answer(request: IncomingMessage, response: ServerResponse, { script, asked }: Conversation): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  const body = await bodyOf(request);
  asked.push({ method: request.method ?? '', path, body });

  if (request.method === 'POST' && path.endsWith('/messages/count_tokens')) return json(response, { input_tokens: 10 });
  if (request.method === 'POST' && path.endsWith('/messages')) return anthropic(response, body, script);
  if (request.method === 'POST' && path.endsWith('/responses')) return openai(response, body, script);
  const gemini = /:(generateContent|streamGenerateContent|countTokens)$/.exec(path)?.[1];
  if (gemini === 'countTokens') return json(response, { totalTokens: 10 });
  if (gemini !== undefined) return google(response, body, script, gemini === 'streamGenerateContent');
  if (request.method === 'GET' && path.includes('/models')) return json(response, modelList(path));
  if (request.method === 'HEAD' || request.method === 'GET') return json(response, {});
  return json(response, {});
}

// --- Anthropic -------------------------------------------------------------

type Block = { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: unknown };

function anthropic(response: ServerResponse, body: unknown, script: Script): void {
  const turn = toolResults(body).length;
  const call = offers(body) ? script.calls[turn] : undefined;
  const content: Block[] = call === undefined
    ? [{ type: 'text', text: script.closing }]
    : [{ type: 'text', text: `Step ${turn + 1}.` }, { type: 'tool_use', id: `toolu_${turn + 1}`, name: call.name, input: call.input }];
  const message = {
    id: `msg_${turn + 1}`, type: 'message', role: 'assistant', model: field(body, 'model') ?? 'scripted', content,
    stop_reason: call === undefined ? 'end_turn' : 'tool_use', stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 10, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
  };
  if (field(body, 'stream') !== true) return json(response, message);

  const send = eventStream(response);
  send('message_start', { message: { ...message, content: [], stop_reason: null } });
  content.forEach((block, index) => {
    const empty = block.type === 'text' ? { ...block, text: '' } : { ...block, input: {} };
    const delta = block.type === 'text'
      ? { type: 'text_delta', text: block.text }
      : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) };
    send('content_block_start', { index, content_block: empty });
    send('content_block_delta', { index, delta });
    send('content_block_stop', { index });
  });
  send('message_delta', { delta: { stop_reason: message.stop_reason, stop_sequence: null }, usage: { output_tokens: 10 } });
  send('message_stop', {});
  response.end();
}

// --- OpenAI ----------------------------------------------------------------

function openai(response: ServerResponse, body: unknown, script: Script): void {
  const turn = toolResults(body).length;
  const call = offers(body) ? script.calls[turn] : undefined;
  const item = call === undefined
    ? { type: 'message', id: `msg_${turn + 1}`, role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: script.closing, annotations: [] }] }
    : { type: 'function_call', id: `fc_${turn + 1}`, call_id: `call_${turn + 1}`, name: call.name, arguments: JSON.stringify(call.input), status: 'completed' };
  const whole = {
    id: `resp_${turn + 1}`, object: 'response', created_at: 0, status: 'completed', model: field(body, 'model') ?? 'scripted', output: [item],
    usage: { input_tokens: 10, input_tokens_details: { cached_tokens: 0 }, output_tokens: 10, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 20 },
  };
  if (field(body, 'stream') !== true) return json(response, whole);

  const send = eventStream(response);
  send('response.created', { response: { ...whole, status: 'in_progress', output: [] } });
  send('response.output_item.added', { output_index: 0, item });
  send('response.output_item.done', { output_index: 0, item });
  send('response.completed', { response: whole });
  response.end();
}

// --- Gemini ----------------------------------------------------------------

function google(response: ServerResponse, body: unknown, script: Script, streams: boolean): void {
  const turn = toolResults(body).length;
  const call = offers(body) ? script.calls[turn] : undefined;
  const part = call === undefined ? { text: script.closing } : { functionCall: { id: `call_${turn + 1}`, name: call.name, args: call.input } };
  const whole = {
    candidates: [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 10, totalTokenCount: 20 }, modelVersion: 'scripted',
  };
  if (!streams) return json(response, whole);
  response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${JSON.stringify(whole)}\r\n\r\n`);
}

// --- all -------------------------------------------------------------------

/** The texts of the tool results in a request of any of the APIs. */
function toolResults(body: unknown): readonly string[] {
  const contents = field(body, 'contents');
  if (Array.isArray(contents)) {
    return contents.flatMap((content: unknown) => {
      const parts = field(content, 'parts');
      return Array.isArray(parts) ? parts.flatMap((part: unknown) => (field(part, 'functionResponse') === undefined ? [] : [JSON.stringify(field(part, 'functionResponse'))])) : [];
    });
  }
  const messages = field(body, 'messages');
  if (Array.isArray(messages)) {
    return messages.flatMap((message: unknown) => {
      const content = field(message, 'content');
      return Array.isArray(content) ? content.filter((part: unknown) => field(part, 'type') === 'tool_result').map(textOf) : [];
    });
  }
  const input = field(body, 'input');
  return Array.isArray(input) ? input.filter((part: unknown) => field(part, 'type') === 'function_call_output').map(textOf) : [];
}

function textOf(part: unknown): string {
  const content = field(part, 'content') ?? field(part, 'output');
  return typeof content === 'string' ? content : JSON.stringify(content);
}

/** A request without tools is a side request. */
function offers(body: unknown): boolean {
  const tools = field(body, 'tools');
  return Array.isArray(tools) && tools.length > 0;
}

function modelList(path: string): unknown {
  const one = { type: 'model', object: 'model', id: path.split('/models/')[1] ?? 'scripted', display_name: 'Scripted', created_at: '2025-01-01T00:00:00Z' };
  return path.includes('/models/') ? one : { object: 'list', data: [one], models: [], has_more: false, first_id: one.id, last_id: one.id };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json', 'request-id': 'req_scripted' }).end(JSON.stringify(value));
}

function eventStream(response: ServerResponse): (type: string, data: object) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'request-id': 'req_scripted' });
  return (type, data) => void response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
}
