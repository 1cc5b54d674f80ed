/** The gateway's stream of changes: kept open, asked for again when it is lost, let go when nobody wants it. */
import { computed, onBeforeUnmount, onMounted, ref, shallowRef } from 'vue'
import { json, Refused } from '../../shell/api'
import { begun, type Board, changed, pause } from './board'

const PATH = '/admin/v1/overview'
const HIDDEN = 60_000 // milliseconds that a page is kept live behind others
/** `lost`: what is shown is old, and it is tried to be renewed. */
export type Link = 'linking' | 'live' | 'lost' | 'paused'

export function useLive() {
  const board = shallowRef<Board | null>(null)
  const link = ref<Link>('linking')
  const refusal = shallowRef<unknown>(null)
  /** How far the gateway's clock is ahead of this machine's, in seconds. */
  const ahead = ref(0)
  const ticking = ref(Date.now() / 1000)
  const now = computed(() => (link.value === 'live' || !board.value ? ticking.value + ahead.value : board.value.at))
  let source: EventSource | null = null
  let again: ReturnType<typeof setTimeout> | undefined
  let failures = 0

  function take(told: Board): void {
    board.value = told
    ahead.value = told.at - Date.now() / 1000
  }

  function open(): void {
    clearTimeout(again)
    source?.close()
    const opened = new EventSource(`${PATH}/events`)
    source = opened
    opened.addEventListener('snapshot', (event: MessageEvent<string>) => {
      failures = 0
      link.value = 'live'
      refusal.value = null
      take(begun(JSON.parse(event.data) as Board))
    })
    opened.addEventListener('change', (event: MessageEvent<string>) => {
      if (board.value) take(changed(board.value, JSON.parse(event.data) as Partial<Board>))
    })
    opened.addEventListener('error', lose)
  }

  /** The browser would ask again at once and for ever: here the gateway is given time, and asked why. */
  function lose(): void {
    source?.close()
    source = null
    if (link.value === 'paused') return
    link.value = board.value ? 'lost' : 'linking'
    failures += 1
    again = setTimeout(renew, pause(failures) * 1000)
  }

  async function renew(): Promise<void> {
    clearTimeout(again)
    try {
      take(begun(await json<Board>(PATH)))
      refusal.value = null
    } catch (error) {
      refusal.value = error
      // Without the permission there is nothing to wait for; without a session the page to sign in is shown.
      if (!(error instanceof Refused)) lose()
      return
    }
    if (link.value !== 'paused') open()
  }

  function stop(): void {
    clearTimeout(again)
    source?.close()
    source = null
  }

  function halt(): void {
    link.value = 'paused'
    stop()
  }

  function resume(): void {
    link.value = board.value ? 'lost' : 'linking'
    failures = 0
    open()
  }

  /** A page that nobody sees costs the gateway nothing, and the browser none of its few connections. */
  let unseen: ReturnType<typeof setTimeout> | undefined
  function look(): void {
    clearTimeout(unseen)
    if (document.hidden) unseen = setTimeout(stop, HIDDEN)
    else if (!source && link.value !== 'paused' && !(refusal.value instanceof Refused)) void renew()
  }

  let clock: ReturnType<typeof setInterval> | undefined
  const gone = () => link.value === 'live' && lose()
  const back = () => link.value === 'lost' && void renew()
  onMounted(() => {
    open()
    clock = setInterval(() => (ticking.value = Date.now() / 1000), 1000)
    addEventListener('offline', gone)
    addEventListener('online', back)
    document.addEventListener('visibilitychange', look)
  })
  onBeforeUnmount(() => {
    stop()
    clearInterval(clock)
    clearTimeout(unseen)
    document.removeEventListener('visibilitychange', look)
    removeEventListener('offline', gone)
    removeEventListener('online', back)
  })
  return { board, link, refusal, now, halt, resume, renew }
}
