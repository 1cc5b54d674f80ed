/** What `/admin/v1/models` tells, as the server writes it. Times are in Unix seconds, sizes in bytes, shares 0 to 1. */

export type Stage = 'asked' | 'starting' | 'probing' | 'sharing' | 'finished' | 'rolled_back' | 'failed'
export type Obstacle = '' | 'built_in' | 'elsewhere' | 'fixed' | 'folder'

export interface Promotion {
  id: number
  engine: string
  revision: string
  kind: 'promote' | 'rollback'
  stage: Stage
  share: number
  detail: string
  asked: number
  ended: number | null
}

export interface Process {
  release: string
  state: 'stopped' | 'starting' | 'warm' | 'backing_off'
  stage: string
  since: number
  restarts: number
  error: string
  line: string
  share: number
  calls: number
  faults: number
  last_fault: string
}

export interface Engine {
  name: string
  kind: string
  model: string
  url: string
  obstacle: Obstacle
  tags: boolean
  next: string
  previous: string
  configured: string
  stable: Process | null
  candidate: Process | null
  work: Promotion | null
  last: Promotion | null
}

export interface Release {
  id: string
  name: string
  revision: string
  asked: string
  source: string
  licence: string
  fetched: number
  whole: boolean
  files: number
  bytes: number
  used_by: string[]
}

export interface Rules {
  shares: number[]
  watch: number
  faults: number
  keep: number
}

export interface Fetch {
  id: string
  name: string
  revision: string
  source: string
  include: string[]
  exclude: string[]
  state: 'running' | 'done' | 'failed' | 'stopped'
  by: string
  started: number
  ended: number | null
  pinned: string
  files: number
  files_done: number
  bytes: number
  bytes_done: number
  rate: number
  error: string
  said: string[]
}

export interface Damaged {
  name: string
  revision: string
  source: string
  files: { path: string; what: string }[]
}

export interface Check {
  state: 'never' | 'running' | 'done' | 'failed' | 'stopped'
  started?: number
  ended?: number | null
  bytes?: number
  bytes_done?: number
  release?: string
  checked?: number
  damaged?: Damaged[]
}

export interface Yard {
  engines: Engine[]
  releases: Release[]
  rules: Rules
  sources: Record<string, string>
  disk: { total: number; free: number }
  check: Check
  fetches: Fetch[]
}

/** What a dialog to fetch begins with. */
export interface Wanted {
  name: string
  revision: string
  source: string
  include?: string[]
  exclude?: string[]
}
