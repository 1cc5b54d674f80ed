/** One drawing, kept with the gateway as it grows, and the list of the others. */
import { computed, ref } from 'vue'
import { all, json, Refused } from '../../shell/api'
import { branch, type Drawing, merge, type Node, restore, titled } from './tree'

const PATH = '/console/v1/papers'

export interface Heading {
  id: string
  title: string
  created: number
  updated: number
}

export type Paper = ReturnType<typeof createPaper>

/** `made` is told the id of a drawing once it has one. */
export function createPaper(made: (id: string) => void) {
  const heading = ref<Heading | null>(null)
  const title = ref('')
  const drawing = ref<Drawing>({ nodes: [], current: null })
  const loading = ref(false)
  const failure = ref<unknown>(null)
  const unsaved = ref<unknown>(null)
  const current = computed(() => drawing.value.nodes.find((node) => node.id === drawing.value.current) ?? null)
  let wanted = false
  let saving: Promise<void> | null = null

  async function open(id: string): Promise<void> {
    await saved()
    failure.value = unsaved.value = null
    heading.value = null
    title.value = ''
    drawing.value = { nodes: [], current: null }
    if (!id) return
    loading.value = true
    try {
      const found = await json<Heading & { body: unknown }>(`${PATH}/${encodeURIComponent(id)}`)
      heading.value = found
      title.value = found.title
      drawing.value = restore(found.body)
    } catch (error) {
      failure.value = error
    } finally {
      loading.value = false
    }
  }

  function add(node: Node): void {
    title.value ||= titled(node.prompt)
    drawing.value.nodes.push(node)
    save()
  }

  function go(id: string | null): void {
    if (drawing.value.current === id) return
    drawing.value.current = id
    if (heading.value) save()
  }

  function forget(id: string): void {
    const gone = branch(drawing.value.nodes, id)
    const parent = drawing.value.nodes.find((node) => node.id === id)?.parent ?? null
    drawing.value.nodes = drawing.value.nodes.filter((node) => !gone.has(node.id))
    drawing.value.current = parent ?? drawing.value.nodes.at(-1)?.id ?? null
    save()
  }

  function rename(next: string): void {
    title.value = next.trim()
    save()
  }

  /** Has it kept soon: one writing at a time, and what changes meanwhile is in the next. */
  function save(): void {
    wanted = true
    saving ??= work().finally(() => {
      saving = null
    })
  }

  const saved = async (): Promise<void> => {
    await saving
  }

  async function work(): Promise<void> {
    while (wanted) {
      wanted = false
      try {
        await write()
        unsaved.value = null
      } catch (error) {
        unsaved.value = error
        return
      }
    }
  }

  async function write(): Promise<void> {
    const name = title.value.trim() || 'Sampan'
    if (!heading.value) {
      heading.value = await json<Heading>(PATH, { body: { kind: 'drawing', title: name, body: drawing.value } })
      made(heading.value.id)
      return
    }
    const { id, updated } = heading.value
    try {
      heading.value = await json<Heading>(`${PATH}/${id}`, { method: 'PUT', body: { title: name, body: drawing.value, updated } })
    } catch (error) {
      if (!(error instanceof Refused && error.param === 'updated')) throw error
      // Another window drew on it, too: both are kept.
      const theirs = await json<Heading & { body: unknown }>(`${PATH}/${id}`)
      drawing.value = merge(drawing.value, restore(theirs.body))
      heading.value = await json<Heading>(`${PATH}/${id}`, { method: 'PUT', body: { title: name, body: drawing.value, updated: theirs.updated } })
    }
  }

  return { heading, title, drawing, current, loading, failure, unsaved, open, add, go, forget, rename, save, saved }
}

export const list = (): Promise<Heading[]> => all<Heading>(`${PATH}?kind=drawing`, (each) => each.id)

export const remove = (id: string): Promise<void> => json(`${PATH}/${id}`, { method: 'DELETE' })
