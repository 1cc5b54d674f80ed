/** What the admin API answers, as far as these pages read it. Times are Unix seconds. */
import type { Permission } from '../../shell/session'

export interface Department {
  name: string
  title: string
  confined: boolean
  active: boolean
  users: number
  keys: number
}

export interface User {
  name: string
  department: string
  role: string
  email: string
  active: boolean
}

export interface Key {
  id: string
  prefix: string
  name: string
  role: string
  created: number
  expires: number | null
  revoked: number | null
  last_used: number | null
  kind: 'key' | 'service'
  department: string
  user: string
  networks: string[]
  confined: boolean
  rotated: number | null
  overlap: number | null
  state: 'valid' | 'expired' | 'revoked'
  permissions: Permission[]
}

export interface Role {
  name: string
  permissions: Permission[]
  from: 'built in' | 'configuration' | 'database'
  users: number
  keys: number
}

export interface Pot {
  pot: string
  spent: number
  reserved: number
  left: number
  share: number
  since: number | null
  resets: number | null
}

export const MEASURES = [
  'pictures',
  'calls',
  'tokens',
  'input_tokens',
  'output_tokens',
  'money',
  'megapixels',
  'engine_seconds',
  'concurrency',
] as const
export type Measure = (typeof MEASURES)[number]
export const PERIODS = ['minute', 'day', 'month'] as const
export type Period = (typeof PERIODS)[number]
export const SCOPES = ['department', 'role', 'user', 'key', 'model', 'operation'] as const
export type ScopeName = (typeof SCOPES)[number]
export type Scope = Partial<Record<ScopeName, string>>

export interface Limit {
  name: string
  what: Measure
  most: number
  per: Period | null
  scope: Scope
  soft: number
  stored: boolean
  pots: Pot[]
  notes?: string[]
}

export const EFFECTS = ['local', 'deny', 'mask', 'allow'] as const
export type Effect = (typeof EFFECTS)[number]
export const OPERATIONS = ['text', 'vision', 'generate', 'edit', 'embed'] as const
export type Operation = (typeof OPERATIONS)[number]
export const DIALECTS = ['anthropic', 'openai-chat', 'openai-responses', 'openai-images', 'openai-embeddings'] as const
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof DAYS)[number]

/** Lists of names or patterns; `!` before one says what must not be. */
export const NAMED = ['departments', 'roles', 'users', 'keys', 'models', 'tools', 'collections', 'networks'] as const
export type Named = (typeof NAMED)[number]

export interface RuleBody extends Partial<Record<Named, string[]>> {
  effect: Effect
  operations?: Operation[]
  dialects?: string[]
  hours?: string[]
  days?: Day[]
  time_zone?: string
  over_pictures?: number
  over_megapixels?: number
  over_tokens?: number
}

export interface Rule extends RuleBody {
  id: string
  name: string
  source: 'configuration' | 'stored'
  updated: number | null
  notes?: string[]
}

export interface Besides {
  policy: { default: 'allow' | 'deny'; time_zone: string }
  residency: { departments: string[]; models: string[]; detect: Record<string, string> }
}

export interface Explained {
  decision: 'allow' | 'deny'
  rule: string
  message: string
  confined: string
  masked: boolean
  unseen: boolean
  rules: { name: string; effect: Effect; stored: boolean; concerns: boolean; why: string }[]
  targets: { upstream: string; model: string | null; location: 'cloud' | 'local' }[]
  limits: { name: string; pot: string }[]
  notes: string[]
}
