/** The conversations of whoever is signed in: those that are open, what goes on in them, and how they are kept. */
import { reactive, ref, shallowReactive, watch } from 'vue'
import { all, ask, json, Refused } from '../../shell/api'
import { me } from '../../shell/session'
import { pursue } from './stream'
import { type Answer, type Attached, messagesOf, newTalk, nothingTold, type Talk, talkOf, titleOf, type Turn } from './talk'
import { forget } from './uploads'

const PAPERS = '/console/v1/papers'
/** A picture that comes with the console, for whoever wants to see before they believe. */
export const EXAMPLE = `${import.meta.env.BASE_URL}examples/contract.png`
/** The same, small enough to be part of the first page. */
export const EXAMPLE_SMALL = `${import.meta.env.BASE_URL}examples/contract-small.webp`

export interface Heading {
  id: string
  title: string
  created: number
  updated: number
}

export interface Behind {
  upstream: string
  tier: string
  house: boolean
}

export interface Voice {
  id: string
  sees: boolean
  targets: Behind[]
}

export interface Voices {
  default: string
  largest_picture: number
  largest_file: number
  models: Voice[]
}

/** One conversation that is open here. */
export interface Desk {
  /** Empty until it is kept. */
  id: string
  title: string
  updated: number
  talk: Talk
  stopper: AbortController | null
  /** Whether another window has changed it, or removed it. */
  conflict: boolean
  /** Why it could not be kept. */
  trouble: string
  dirty: boolean
  keeping: boolean
  gone: boolean
}

export const headings = ref<Heading[] | null>(null)
export const failure = ref<unknown>(null)
export const voices = ref<Voices | null>(null)
const desks = shallowReactive(new Map<string, Desk>())

// Nothing of one person's is left for who signs in next.
watch(() => me.value?.key_id, () => {
  for (const desk of desks.values()) desk.stopper?.abort()
  desks.clear()
  headings.value = null
  voices.value = null
})

export async function refresh(): Promise<void> {
  failure.value = null
  try {
    const [found, told] = await Promise.all([
      all<Heading>(`${PAPERS}?kind=conversation`, (each) => each.id),
      json<Voices>('/console/v1/models'),
    ])
    headings.value = found
    voices.value = told
  } catch (error) {
    failure.value = error
  }
}

export function newDesk(): Desk {
  return reactive({
    id: '', title: '', updated: 0, talk: newTalk(), stopper: null, conflict: false, trouble: '', dirty: false,
    keeping: false, gone: false,
  })
}

/** The conversation of this name; raises `Refused` where there is none. */
export async function open(id: string, anew = false): Promise<Desk> {
  const here = desks.get(id)
  if (here && !anew) return here
  const paper = await json<Heading & { body: unknown }>(`${PAPERS}/${encodeURIComponent(id)}`)
  const desk = newDesk()
  Object.assign(desk, { id, title: paper.title, updated: paper.updated, talk: talkOf(paper.body) })
  desks.set(id, desk)
  return desk
}

/** Keeps it as it is now; one write at a time, and what changed meanwhile by another one. */
export async function keep(desk: Desk): Promise<void> {
  desk.dirty = true
  if (desk.keeping || desk.conflict) return
  desk.keeping = true
  try {
    while (desk.dirty && !desk.gone) {
      desk.dirty = false
      await write(desk)
    }
    desk.trouble = ''
  } catch (error) {
    const refused = error instanceof Refused ? error : null
    desk.conflict = refused?.param === 'updated' || (refused?.status === 404 && desk.id !== '')
    desk.trouble = desk.conflict ? '' : refused?.message || '–'
  } finally {
    desk.keeping = false
  }
}

async function write(desk: Desk): Promise<void> {
  const body = { title: desk.title, body: desk.talk }
  const kept = desk.id
    ? await json<Heading>(`${PAPERS}/${desk.id}`, { method: 'PUT', body: { ...body, updated: desk.updated } })
    : await json<Heading>(PAPERS, { body: { ...body, kind: 'conversation' } })
  desk.id = kept.id
  desk.updated = kept.updated
  desks.set(kept.id, desk)
  headings.value = [kept, ...(headings.value ?? []).filter((each) => each.id !== kept.id)]
}

/** Keeps what stands here beside what another window made of it. */
export async function keepApart(desk: Desk): Promise<void> {
  desks.delete(desk.id)
  Object.assign(desk, { id: '', updated: 0, conflict: false })
  await keep(desk)
}

let count = 0

function addAnswer(turn: Turn, model: string, house: boolean): Answer {
  const answer: Answer = {
    asked: model, house, text: '', state: 'writing', told: nothingTold(), error: null, at: Date.now() / 1000,
  }
  turn.answers.push(answer)
  turn.shown = turn.answers.length - 1
  // What is in the turn now is watched; what was put in is not.
  return turn.answers[turn.shown] ?? answer
}

/** Asks; raises nothing, for what goes wrong stands in the answer. */
export async function send(desk: Desk, text: string, files: Attached[], untitled: string): Promise<void> {
  count += 1
  const turns = desk.talk.turns
  turns.push({ id: `${Date.now()}-${count}`, text, files, at: Date.now() / 1000, answers: [], shown: 0 })
  if (!desk.title) desk.title = titleOf(turns[0], untitled)
  await answer(desk, turns.length - 1, desk.talk.model, desk.talk.house)
}

/** Asks the same once more, perhaps somebody else; earlier answers stay, to be compared. */
export async function answer(desk: Desk, index: number, model: string, house: boolean): Promise<void> {
  const turn = desk.talk.turns[index]
  if (!turn || desk.stopper) return
  const { system, temperature } = desk.talk
  const question = { model: model || (voices.value?.default ?? ''), messages: messagesOf(desk.talk, index), house, system, temperature }
  const made = addAnswer(turn, model, house)
  desk.stopper = new AbortController()
  void keep(desk) // the question is kept even where this page does not live to see the answer
  await pursue(made, question, desk.stopper.signal)
  desk.stopper = null
  await keep(desk)
}

export async function rename(heading: Heading, title: string): Promise<void> {
  const desk = await open(heading.id)
  desk.title = title
  await keep(desk)
  if (desk.trouble) throw new Refused(400, desk.trouble)
}

/** Forgets a conversation, and the files in it. */
export async function remove(heading: Heading): Promise<void> {
  const desk = await open(heading.id)
  desk.gone = true
  desk.stopper?.abort()
  await ask(`${PAPERS}/${encodeURIComponent(heading.id)}`, { method: 'DELETE' })
  desks.delete(heading.id)
  headings.value = (headings.value ?? []).filter((each) => each.id !== heading.id)
  forget(desk.talk.turns.flatMap((turn) => turn.files))
}

/** Puts text where it can be pasted; browsers give pages without https no clipboard, but this. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'unseen'
  area.setAttribute('aria-hidden', 'true')
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}
