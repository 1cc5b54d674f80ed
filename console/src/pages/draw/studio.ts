/** Has pictures drawn, several at a time, and puts what came of it into the drawing. */
import { computed, ref } from 'vue'
import type { Paper } from './drawing'
import type { Editor } from './editor'
import { type Made, type Order, paint } from './painting'
import { compared, decoded, type Easels, fetched, hold, keep, maskPng, onLargerCanvas, pixels, source } from './pictures'
import { Mask } from './mask'
import { extended, type Margins, name } from './sizes'
import type { Node } from './tree'
import { seeds, sizeOf, type Wishes, words } from './wishes'

/** What is kept of a picture beside what the answer says. */
type Origin = Pick<Node, 'parent' | 'margins' | 'mask'>

export interface Job {
  id: string
  state: 'running' | 'failed'
  preview: string
  previews: number
  share: number
  error: unknown
  order: Order
  origin: Origin
  abort: AbortController
}

/** Model images keep their size up to this area by themselves; beyond it the size has to be said. */
const OWN_AREA = 1328 * 1328

function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export type Studio = ReturnType<typeof createStudio>

export function createStudio(paper: Paper, easels: () => Easels | null, drawn: (node: Node) => void) {
  const jobs = ref<Job[]>([])
  const preparing = ref(false)
  const busy = computed(() => preparing.value || jobs.value.some((job) => job.state === 'running'))
  const easel = (model: string) => easels()?.models.find((each) => each.id === (model || easels()?.default))

  /** All that was asked for; the first picture that comes is opened. */
  async function go(wishes: Wishes, editor: Editor, count = wishes.count): Promise<void> {
    preparing.value = true
    try {
      const { order, origin } = await prepared(wishes, editor)
      const run = seeds(wishes, easel(wishes.model), count).map((seed) => start({ ...order, ...(seed !== undefined && { seed }) }, origin))
      preparing.value = false
      await Promise.all(run)
    } finally {
      preparing.value = false
    }
  }

  async function prepared(wishes: Wishes, editor: Editor): Promise<{ order: Order; origin: Origin }> {
    const known = easel(wishes.model)
    const common = {
      prompt: words(wishes),
      model: wishes.model,
      ...(wishes.quality && { quality: wishes.quality }),
      ...(known?.negates && wishes.negative.trim() && { negative: wishes.negative.trim() }),
    }
    const from = paper.current.value
    if (wishes.task === 'create' || !from) {
      return { order: { ...common, operation: 'create', size: name(sizeOf(wishes)) }, origin: { parent: null } }
    }
    if (wishes.task === 'extend') return extending(common, from, editor.margins.value, !!known?.seeds)
    const image = await fetched(from.sha256)
    if (wishes.task === 'vary') return { order: { ...common, operation: 'vary', image }, origin: { parent: from.id } }
    const { count, box } = editor.measured.value
    if (!count) return { order: { ...common, operation: 'instruct', image }, origin: { parent: from.id } }
    const mask = await maskPng(editor.mask.value)
    const kept = { sha256: await keep(mask), share: editor.share.value, box }
    return { order: { ...common, operation: 'redraw', image, mask }, origin: { parent: from.id, mask: kept } }
  }

  async function extending(common: Pick<Order, 'prompt' | 'model'>, from: Node, margins: Margins, sized: boolean): Promise<{ order: Order; origin: Origin }> {
    const whole = extended(from, margins)
    const mask = new Mask(whole.width, whole.height)
    mask.fill(1)
    mask.rectangle({ left: margins.left, top: margins.top, right: margins.left + from.width, bottom: margins.top + from.height }, 0)
    const image = await onLargerCanvas(await decoded(source(from.sha256)), from, margins)
    const size = sized && whole.width * whole.height > OWN_AREA ? { size: name(whole) } : {}
    const order: Order = { ...common, ...size, operation: 'extend', image, mask: await maskPng(mask) }
    return { order, origin: { parent: from.id, margins: { ...margins } } }
  }

  /** The same again, with the same seed: where a model takes none, of whoever drew it by its own name. */
  async function again(node: Node): Promise<void> {
    if (node.operation === 'upload') return
    const asked = node.model ?? ''
    const own = easels()?.models.find((each) => each.id === node.upstream)
    const model = node.seed !== undefined && !easel(asked)?.seeds && own?.seeds ? own.id : asked
    const seed = node.seed !== undefined && easel(model)?.seeds ? { seed: node.seed } : {}
    const common = { prompt: node.prompt, model, ...seed, ...(node.quality && { quality: node.quality }), ...(node.negative && { negative: node.negative }) }
    const origin: Origin = { parent: node.parent, ...(node.margins && { margins: node.margins }), ...(node.mask && { mask: node.mask }) }
    preparing.value = true
    try {
      const parent = paper.drawing.value.nodes.find((each) => each.id === node.parent)
      let order: Order
      if (node.operation === 'create' || !parent) order = { ...common, operation: 'create', ...(node.size && { size: node.size }) }
      else if (node.operation === 'extend') order = (await extending(common, parent, node.margins as Margins, !!easel(model)?.seeds)).order
      else {
        const mask = node.mask && { mask: await fetched(node.mask.sha256) }
        order = { ...common, operation: node.operation, image: await fetched(parent.sha256), ...mask }
      }
      preparing.value = false
      await start(order, origin)
    } finally {
      preparing.value = false
    }
  }

  async function start(order: Order, origin: Origin): Promise<void> {
    jobs.value.push({ id: newId(), state: 'running', preview: '', previews: 0, share: 0, error: null, order, origin, abort: new AbortController() })
    await run(jobs.value[jobs.value.length - 1] as Job)
  }

  async function run(job: Job): Promise<void> {
    const began = Date.now() / 1000
    try {
      const made = await paint(job.order, job.abort.signal, {
        preview: (data, index) => {
          URL.revokeObjectURL(job.preview)
          job.preview = URL.createObjectURL(data)
          job.previews = index
        },
        progress: (share) => {
          job.share = share
        },
      })
      const node = await nodeOf(job, made, began)
      if (job.abort.signal.aborted) return dismiss(job)
      paper.add(node)
      drawn(node)
      dismiss(job)
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') dismiss(job)
      else Object.assign(job, { state: 'failed', error })
    }
  }

  async function nodeOf({ order, origin }: Job, made: Made, began: number): Promise<Node> {
    const sha256 = await hold(made.data)
    const image = await decoded(source(sha256))
    const { headers } = made
    const outside = await proof(order, image)
    return {
      id: newId(),
      ...origin,
      sha256,
      width: image.naturalWidth,
      height: image.naturalHeight,
      created: began,
      operation: order.operation,
      prompt: order.prompt,
      model: order.model || (easels()?.default ?? ''),
      ...(order.size && { size: order.size }),
      ...(order.quality && { quality: order.quality }),
      ...(order.negative && { negative: order.negative }),
      ...(made.seed !== undefined && { seed: made.seed }),
      ...(made.revised && { revised: made.revised }),
      ...(made.provenance && { provenance: made.provenance }),
      ...(headers['x-sampan-upstream'] && { upstream: headers['x-sampan-upstream'] }),
      ...(headers['x-sampan-tier'] && { tier: headers['x-sampan-tier'] }),
      ...(headers['x-sampan-attempts'] && { attempts: headers['x-sampan-attempts'] }),
      ...(headers['request-id'] && { request: headers['request-id'] }),
      ...(outside && { outside }),
      seconds: made.seconds,
    }
  }

  /** Whether what was to stay did: looked at, pixel by pixel, for whoever drew it. */
  async function proof(order: Order, after: HTMLImageElement): Promise<{ pixels: number; changed: number } | null> {
    if (!order.image || !order.mask) return null
    const [before, mask] = [URL.createObjectURL(order.image), URL.createObjectURL(order.mask)]
    try {
      const cover = await decoded(mask)
      const size = { width: cover.naturalWidth, height: cover.naturalHeight }
      return compared(maskOf(cover, size), await decoded(before), after)
    } finally {
      URL.revokeObjectURL(before)
      URL.revokeObjectURL(mask)
    }
  }

  function dismiss(job: Job): void {
    URL.revokeObjectURL(job.preview)
    jobs.value = jobs.value.filter((each) => each.id !== job.id)
  }

  function retry(job: Job): void {
    Object.assign(job, { state: 'running', preview: '', previews: 0, share: 0, error: null, abort: new AbortController() })
    void run(job)
  }

  function cancel(job?: Job): void {
    for (const each of job ? [job] : jobs.value) each.abort.abort()
    if (!job) jobs.value = jobs.value.filter((each) => each.state === 'running')
  }

  return { jobs, busy, go, again, cancel, dismiss, retry }
}

function maskOf(cover: HTMLImageElement, size: { width: number; height: number }): Mask {
  const shown = pixels(cover, size)
  return new Mask(size.width, size.height, Uint8Array.from({ length: size.width * size.height }, (_, index) => (shown[index * 4 + 3] ? 0 : 1)))
}
