/** Who is signed in, what they may, and the word that every change needs. */
import { computed, ref } from 'vue'

export type Permission = 'call' | 'operate' | 'audit' | 'govern'

export interface Me {
  key_id: string
  name: string
  role: string
  department: string
  user: string
  permissions: Permission[]
  confined: boolean
  csrf: string
}

export const me = ref<Me | null>(null)
/** Whether it was asked yet who this is. */
export const known = ref(false)
export const csrf = computed(() => me.value?.csrf ?? '')
export const may = (permission: Permission): boolean => me.value?.permissions.includes(permission) ?? false

/** The session is over: the page to sign in shows itself, and the address stays, to go on there. */
export function lost(): void {
  me.value = null
}

export async function recall(): Promise<void> {
  try {
    const response = await fetch('/auth/ways', { credentials: 'same-origin' })
    const ways = (await response.json()) as { provider: boolean; signed_in?: boolean }
    provider.value = ways.provider
    const told = await fetch('/auth/me', { credentials: 'same-origin' })
    me.value = told.ok ? ((await told.json()) as Me) : null
  } finally {
    known.value = true
  }
}

/** Whether one can also sign in with the house's own accounts. */
export const provider = ref(false)

export async function enter(key: string): Promise<string> {
  const response = await fetch('/auth/login', {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key }),
  })
  const said = (await response.json()) as Me & { error?: { message: string } }
  if (!response.ok) return said.error?.message ?? `HTTP ${response.status}`
  me.value = said
  return ''
}

export async function leave(): Promise<void> {
  await fetch('/auth/logout', { method: 'POST', credentials: 'same-origin', headers: { 'x-sampan-csrf': csrf.value } })
  lost()
}
