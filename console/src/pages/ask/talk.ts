/** A conversation as it is kept: turns of a question and the answers it got, and what each answer says of itself. */

export interface Attached {
  file: string
  name: string
  kind: string
  size: number
}

export interface Fallen {
  status: number
  type: string
  message: string
}

/** What an answer says about itself; times in seconds, 0 where they are not known. */
export interface Told {
  request: string
  upstream: string
  tier: string
  model: string
  attempts: string
  first: number
  whole: number
  input: number
  output: number
  /** Why it ended: `max_tokens` is worth a word. */
  stop: string
  /** Who went on in the middle of it. */
  heirs: string[]
  cache: string
}

export type State = 'writing' | 'done' | 'stopped' | 'failed'

export interface Answer {
  /** The model that was asked for; empty: whichever the gateway takes. */
  asked: string
  house: boolean
  text: string
  state: State
  told: Told
  error: Fallen | null
  at: number
}

export interface Turn {
  id: string
  text: string
  files: Attached[]
  at: number
  answers: Answer[]
  shown: number
}

export interface Talk {
  version: 1
  turns: Turn[]
  model: string
  house: boolean
  system: string
  temperature: number | null
}

export const newTalk = (): Talk => ({ version: 1, turns: [], model: '', house: false, system: '', temperature: null })

export const nothingTold = (): Told => ({
  request: '', upstream: '', tier: '', model: '', attempts: '', first: 0, whole: 0, input: 0, output: 0, stop: '',
  heirs: [], cache: '',
})

export const shownOf = (turn: Turn): Answer | undefined => turn.answers[turn.shown]

/** Reads what was kept; what is none of ours, or was cut in the middle of an answer, is made whole. */
export function talkOf(body: unknown): Talk {
  const kept = body as Partial<Talk> | null
  if (kept?.version !== 1 || !Array.isArray(kept.turns)) return newTalk()
  const talk: Talk = { ...newTalk(), ...kept }
  for (const turn of talk.turns) {
    for (const answer of turn.answers) if (answer.state === 'writing') answer.state = 'stopped'
    turn.shown = Math.min(Math.max(turn.shown, 0), Math.max(turn.answers.length - 1, 0))
  }
  return talk
}

type Block =
  | { type: 'text'; text: string }
  | { type: 'image' | 'document'; source: { type: 'file'; file_id: string } }

export interface Said {
  role: 'user' | 'assistant'
  content: Block[] | string
}

/** What is sent for the turn at `index`: it, and all before it that was answered. */
export function messagesOf(talk: Talk, index: number): Said[] {
  const said: Said[] = []
  talk.turns.slice(0, index + 1).forEach((turn, at) => {
    const answer = shownOf(turn)
    const answered = answer !== undefined && answer.text.trim() !== ''
    if (at < index && !answered) return
    said.push({ role: 'user', content: contentOf(turn) })
    if (at < index && answer) said.push({ role: 'assistant', content: answer.text.trimEnd() })
  })
  return said
}

function contentOf(turn: Turn): Block[] {
  const blocks: Block[] = turn.files.map(({ file, kind }) => ({
    type: kind === 'application/pdf' ? 'document' : 'image',
    source: { type: 'file', file_id: file },
  }))
  if (turn.text.trim()) blocks.push({ type: 'text', text: turn.text })
  return blocks
}

/** The files that an answer to this turn is about: its own, or those that were sent last. */
export function filesOf(talk: Talk, index: number): Attached[] {
  for (let at = index; at >= 0; at -= 1) {
    const files = talk.turns[at]?.files
    if (files?.length) return files
  }
  return []
}

const TITLE = 40

/** What a conversation is called until somebody names it. */
export function titleOf(turn: Turn | undefined, without: string): string {
  const first = (turn?.text ?? '').split('\n').find((line) => line.trim()) ?? turn?.files[0]?.name ?? without
  const plain = first.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').replace(/\s+/g, ' ').trim() || without
  return [...plain].length > TITLE ? `${[...plain].slice(0, TITLE - 1).join('')}…` : plain
}

/** `claude=server_error,reader=ok` as pairs. */
export function attemptsOf(text: string): { upstream: string; fault: string }[] {
  return text
    .split(',')
    .filter(Boolean)
    .map((each) => {
      const cut = each.lastIndexOf('=')
      return { upstream: each.slice(0, cut).trim(), fault: each.slice(cut + 1).trim() }
    })
}

export interface Headings {
  asked: string
  answered: string
  stopped: string
  failed: string
}

/** The conversation as Markdown, for people; `moment` writes Unix seconds. */
export function markdownOf(talk: Talk, title: string, words: Headings, moment: (seconds: number) => string): string {
  const out = [`# ${title}`]
  for (const turn of talk.turns) {
    out.push(`## ${words.asked} · ${moment(turn.at)}`)
    if (turn.files.length) out.push(turn.files.map((file) => `- ${file.name}`).join('\n'))
    if (turn.text) out.push(turn.text)
    for (const answer of turn.answers) {
      const { tier, upstream, model, request } = answer.told
      const facts = [tier, upstream, model, request].filter(Boolean).join(' · ')
      out.push(`### ${words.answered}${facts ? ` · ${facts}` : ''}`)
      if (answer.text) out.push(answer.text.trimEnd())
      if (answer.state === 'stopped') out.push(`_${words.stopped}_`)
      if (answer.state === 'failed') out.push(`_${words.failed}: ${answer.error?.message ?? ''}_`)
    }
  }
  return `${out.join('\n\n')}\n`
}

/** A name that every system takes. */
export function fileNameOf(title: string): string {
  return title.replace(/[\\/:*?"<>|\p{C}]/gu, ' ').replace(/\s+/g, ' ').trim().slice(0, 80) || 'sampan'
}
