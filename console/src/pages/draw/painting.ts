/** One picture asked of the gateway: streamed with previews where the target streams, whole where it does not. */
import { ask, Refused } from '../../shell/api'
import { Frames, progress, truth } from './frames'
import type { Operation } from './tree'

export interface Order {
  operation: Exclude<Operation, 'upload'>
  prompt: string
  model: string
  size?: string
  quality?: string
  seed?: number
  negative?: string
  image?: Blob
  mask?: Blob
}

export interface Made {
  data: Blob
  headers: Record<string, string>
  seconds: number
  size?: string
  seed?: number
  revised?: string
  provenance?: Record<string, unknown>
}

export interface Watching {
  preview: (data: Blob, index: number) => void
  progress: (share: number) => void
}

interface Datum {
  b64_json?: string
  url?: string
  seed?: number
  revised_prompt?: string
  provenance?: Record<string, unknown>
  size?: string
  output_format?: string
}

interface Event extends Datum {
  type?: string
  partial_image_index?: number
  error?: { message: string; type?: string; param?: string | null }
}

const PREVIEWS = 2
const HEADERS = ['request-id', 'x-sampan-upstream', 'x-sampan-tier', 'x-sampan-attempts']

/** Raises `Refused`, and `DOMException` named AbortError when it was cancelled. */
export async function paint(order: Order, signal: AbortSignal, watching: Watching): Promise<Made> {
  const began = performance.now()
  const timed = (made: Omit<Made, 'seconds'>): Made => ({ ...made, seconds: (performance.now() - began) / 1000 })
  if (order.operation === 'vary') return timed(await whole(order, signal))
  try {
    return timed(await streamed(order, signal, watching))
  } catch (error) {
    // Not every target streams; one that does not says which field it cannot take.
    if (error instanceof Refused && error.status === 400 && /stream|partial_images/.test(error.param)) {
      return timed(await whole(order, signal))
    }
    throw error
  }
}

function fields(order: Order, streams: boolean): Record<string, string | number | boolean> {
  const { prompt, model, size, quality, seed, negative } = order
  return {
    ...(order.operation === 'vary' ? {} : { prompt }),
    ...(model && { model }),
    ...(size && { size }),
    ...(quality && { quality }),
    ...(seed !== undefined && { seed }),
    ...(negative && { negative_prompt: negative }),
    ...(streams && { stream: true, partial_images: PREVIEWS }),
  }
}

async function send(order: Order, streams: boolean, signal: AbortSignal): Promise<Response> {
  if (!order.image) return ask('/v1/images/generations', { body: fields(order, streams), signal })
  const form = new FormData()
  for (const [name, value] of Object.entries(fields(order, streams))) form.set(name, String(value))
  form.set('image', order.image, 'picture')
  if (order.mask) form.set('mask', order.mask, 'mask.png')
  return ask(`/v1/images/${order.operation === 'vary' ? 'variations' : 'edits'}`, { body: form, signal })
}

function told(response: Response): Record<string, string> {
  return Object.fromEntries(HEADERS.map((name) => [name, response.headers.get(name) ?? ''] as const).filter(([, value]) => value))
}

async function whole(order: Order, signal: AbortSignal): Promise<Made> {
  const response = await send(order, false, signal)
  const said = (await response.json()) as Datum & { data: Datum[] }
  const datum = { ...said, ...said.data[0] }
  return { ...(await finished(datum, signal)), headers: told(response), seconds: 0 }
}

async function streamed(order: Order, signal: AbortSignal, watching: Watching): Promise<Made> {
  const response = await send(order, true, signal)
  const headers = told(response)
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    const said = (await response.json()) as Datum & { data: Datum[] }
    return { ...(await finished({ ...said, ...said.data[0] }, signal)), headers, seconds: 0 }
  }
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(new TextDecoderStream()).getReader()
  const frames = new Frames()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) throw new Refused(0, '', 'interrupted', '', headers['request-id'])
      for (const { data, comment } of frames.feed(value)) {
        if (comment) {
          Object.assign(headers, truth(comment))
          const share = progress(comment)
          if (share !== null) watching.progress(share)
          continue
        }
        if (data === '[DONE]') continue
        const event = JSON.parse(data) as Event
        if (event.error) throw new Refused(0, event.error.message, event.error.type, event.error.param ?? '', headers['request-id'])
        if (event.type?.endsWith('.partial_image') && event.b64_json) watching.preview(unpacked(event), (event.partial_image_index ?? 0) + 1)
        if (event.type?.endsWith('.completed')) return { ...(await finished(event, signal)), headers, seconds: 0 }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

function unpacked(datum: Datum): Blob {
  const text = atob(datum.b64_json ?? '')
  const data = new Uint8Array(text.length)
  for (let index = 0; index < text.length; index += 1) data[index] = text.charCodeAt(index)
  const type = data[0] === 0x89 ? 'image/png' : data[0] === 0xff ? 'image/jpeg' : 'image/webp'
  return new Blob([data], { type })
}

async function finished(datum: Datum, signal: AbortSignal): Promise<Omit<Made, 'headers' | 'seconds'>> {
  const data = datum.b64_json ? unpacked(datum) : await (await ask(datum.url ?? '', { signal })).blob()
  return {
    data,
    ...(datum.size && { size: datum.size }),
    ...(datum.seed !== undefined && { seed: datum.seed }),
    ...(datum.revised_prompt && { revised: datum.revised_prompt }),
    ...(datum.provenance && { provenance: datum.provenance }),
  }
}
