/** The question of what would happen, as the gateway takes it. Nothing here asks anybody. */
import type { Operation } from './wire'

export interface QuestionForm {
  by: 'names' | 'key'
  key: string
  department: string
  user: string
  role: string
  model: string
  operation: Operation
  text: string
  residency: boolean
  size: string
  pictures: number | null
  answer_tokens: number | null
  peer: string
  tools: string[]
  collection: string
  at: string
}

export const emptyQuestion = (): QuestionForm => ({
  by: 'names',
  key: '',
  department: '',
  user: '',
  role: '',
  model: '',
  operation: 'text',
  text: '',
  residency: false,
  size: '',
  pictures: null,
  answer_tokens: null,
  peer: '',
  tools: [],
  collection: '',
  at: '',
})

/** The call itself, where a text stands for what is asked; only so can it be looked for identifiers. */
function callOf(form: QuestionForm): Record<string, unknown> | undefined {
  const { operation, text, answer_tokens, pictures, size, tools } = form
  if (!text.trim()) return undefined
  if (operation === 'generate') return { prompt: text, ...(pictures ? { n: pictures } : {}), ...(size ? { size } : {}) }
  if (operation === 'embed') return { input: text }
  if (operation === 'edit') return undefined
  const offered = tools.map((name) => ({ name, input_schema: { type: 'object' } }))
  return { max_tokens: answer_tokens ?? 1024, messages: [{ role: 'user', content: text }], ...(offered.length ? { tools: offered } : {}) }
}

export function questionOf(form: QuestionForm): Record<string, unknown> {
  const who = form.by === 'key' ? { key: form.key } : { department: form.department, user: form.user, role: form.role }
  const body = callOf(form)
  const plain = body ? {} : { size: form.size, pictures: form.pictures ?? undefined, answer_tokens: form.answer_tokens ?? undefined, tools: form.tools }
  const asked = { ...who, model: form.model.trim(), operation: form.operation, peer: form.peer.trim(), collection: form.collection.trim(), at: form.at, ...plain }
  const kept = Object.entries(asked).filter(([, value]) => value !== '' && value !== undefined && !(Array.isArray(value) && !value.length))
  return { ...Object.fromEntries(kept), ...(form.residency ? { residency: 'local' } : {}), ...(body ? { body } : {}) }
}
