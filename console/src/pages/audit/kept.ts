/** What was kept of question and answer, as a talk where it is one. */

export interface Turn {
  /** `user`, `assistant`, `system`, `prompt`, or nothing. */
  who: string
  text: string
}

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The text of a content: a string, or its blocks, what is no text named by its type in brackets. */
function words(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return isObject(content) ? words([content]) : ''
  return content
    .map((block) => {
      if (typeof block === 'string') return block
      if (!isObject(block)) return ''
      if (typeof block['text'] === 'string') return block['text']
      if (block['type'] === 'thinking') return ''
      if (block['content'] !== undefined) return words(block['content'])
      return typeof block['type'] === 'string' ? `[${block['type']}]` : ''
    })
    .filter(Boolean)
    .join('\n')
}

function turn(value: unknown): Turn[] {
  if (typeof value === 'string') return value ? [{ who: '', text: value }] : []
  if (!isObject(value)) return []
  const text = words(value['content'])
  return text ? [{ who: typeof value['role'] === 'string' ? value['role'] : '', text }] : []
}

/** What people said in a body of any of the dialects; nothing where we do not know it. */
function talk(body: Json): Turn[] {
  const system = words(body['system'] ?? body['instructions'] ?? '')
  const begin = system ? [{ who: 'system', text: system }] : []
  if (Array.isArray(body['messages'])) return [...begin, ...body['messages'].flatMap(turn)]
  if (typeof body['input'] === 'string') return [...begin, { who: 'user', text: body['input'] }]
  if (Array.isArray(body['input'])) return [...begin, ...body['input'].flatMap(turn)]
  const prompt = body['prompt']
  if (prompt !== undefined) return [{ who: 'prompt', text: Array.isArray(prompt) ? prompt.join('\n') : String(prompt) }]
  if (Array.isArray(body['choices'])) return body['choices'].flatMap((choice) => (isObject(choice) ? turn(choice['message']) : []))
  if (Array.isArray(body['output'])) return body['output'].flatMap(turn)
  if (isObject(body['error']) && typeof body['error']['message'] === 'string') return [{ who: '', text: body['error']['message'] }]
  return turn(body)
}

/** A kept text as a talk, and as it was kept, JSON in lines of its own. */
export function read(text: string): { turns: Turn[]; raw: string } {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { turns: text ? [{ who: '', text }] : [], raw: '' } // a stream's text, or JSON that was cut
  }
  if (typeof body === 'string') return { turns: [{ who: '', text: body }], raw: '' }
  return { turns: isObject(body) ? talk(body) : [], raw: JSON.stringify(body, null, 2) }
}
