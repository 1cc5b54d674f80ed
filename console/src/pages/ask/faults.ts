/** Why somebody who was asked did not answer, in a few words: the gateway's closed list. */
import type { Pair } from '../../shell/words'

const FAULTS: Record<string, Pair> = {
  ok: ['已回答', 'answered'],
  outrun: ['另一个更快', 'another was faster'],
  dns: ['域名解析失败', 'name not resolved'],
  refused: ['连接被拒绝', 'connection refused'],
  unreachable: ['网络不可达', 'unreachable'],
  connect_timeout: ['连接超时', 'connection timed out'],
  tls: ['证书无效', 'certificate not trusted'],
  first_byte_timeout: ['等第一个字超时', 'no first word in time'],
  idle_timeout: ['中途停顿超时', 'fell silent'],
  total_timeout: ['总时间超时', 'took too long'],
  cut: ['回答被截断', 'cut off'],
  malformed: ['回答格式错误', 'malformed answer'],
  empty: ['空回答', 'empty answer'],
  server_error: ['服务器错误', 'server error'],
  overloaded: ['服务器过载', 'overloaded'],
  rate_limited: ['被限流', 'rate limited'],
  billing: ['欠费或额度用尽', 'account is empty'],
  region_blocked: ['地区被封锁', 'region blocked'],
  unauthorized: ['密钥无效', 'our key is refused'],
  model_missing: ['没有这个模型', 'no such model'],
  breaker_open: ['已熔断，未询问', 'breaker open, not asked'],
  bulkhead_full: ['已满，未询问', 'full, not asked'],
}

export const faultOf = (fault: string): Pair => FAULTS[fault] ?? [fault, fault]
