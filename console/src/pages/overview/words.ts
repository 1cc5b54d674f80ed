/** Words that several parts of the overview use: states, faults, operations, kinds of moments. */
import { span } from '../../shell/times'
import { type Pair, say, talk } from '../../shell/words'
import type { Moment } from './board'

export const WINDOW_NAMES: Record<number, Pair> = {
  900: ['15 分钟', '15 min'],
  3600: ['1 小时', '1 h'],
  21600: ['6 小时', '6 h'],
  86400: ['24 小时', '24 h'],
}

const NAMED: Record<string, Pair> = {
  // Breakers.
  closed: ['正常', 'Closed'],
  open: ['已熔断', 'Open'],
  half_open: ['试探中', 'Half-open'],
  isolated: ['已隔离', 'Isolated'],
  // Engines.
  stopped: ['已停止', 'Stopped'],
  starting: ['启动中', 'Starting'],
  warm: ['就绪', 'Warm'],
  backing_off: ['已崩溃，等待重启', 'Crashed, restarting'],
  // Operations.
  text: ['文字', 'text'],
  vision: ['看图', 'vision'],
  generate: ['画图', 'generate'],
  edit: ['改图', 'edit'],
  embed: ['向量', 'embed'],
  // Faults.
  dns: ['域名解析失败', 'name not found'],
  refused: ['拒绝连接', 'connection refused'],
  unreachable: ['网络不可达', 'unreachable'],
  tls: ['TLS 握手失败', 'TLS failed'],
  connect_timeout: ['连接超时', 'connect timeout'],
  first_byte_timeout: ['首字节超时', 'no first byte in time'],
  idle_timeout: ['中途停顿超时', 'stalled'],
  total_timeout: ['总时长超时', 'took too long'],
  cut: ['中途断开', 'cut off'],
  malformed: ['回答格式错误', 'malformed answer'],
  empty: ['空回答', 'empty answer'],
  server_error: ['服务器错误', 'server error'],
  overloaded: ['过载', 'overloaded'],
  rate_limited: ['被限流', 'rate limited'],
  billing: ['欠费', 'billing'],
  region_blocked: ['地区被封', 'region blocked'],
  unauthorized: ['密钥无效', 'unauthorized'],
  model_missing: ['没有这个模型', 'model missing'],
  breaker_open: ['熔断器已断开', 'breaker open'],
  bulkhead_full: ['并发已满', 'no place free'],
  // Promotions.
  asked: ['已申请', 'asked'],
  probing: ['验证中', 'probing'],
  sharing: ['灰度中', 'sharing calls'],
  finished: ['已完成', 'finished'],
  rolled_back: ['已回滚', 'rolled back'],
  failed: ['失败', 'failed'],
  // The gateway, drills, probes.
  started: ['网关启动', 'gateway started'],
  reloaded: ['配置已重新加载', 'configuration reloaded'],
  passed: ['全部守住', 'all kept'],
  ok: ['恢复', 'well again'],
}
/** The name of a state, a fault or an operation; itself where it is a new one. */
export const named = (word: string): string => (NAMED[word] ? say(NAMED[word]) : word)

/** How long something has lasted, in whole seconds at first: what ticks must not flicker. */
export const lasted = (seconds: number): string =>
  seconds < 90 ? say(['{0} 秒', '{0} s'], Math.max(1, Math.round(seconds))) : span(seconds)

export const KINDS: Record<string, Pair> = {
  fault: ['故障', 'Faults'],
  handover: ['中途接续', 'Handovers'],
  breaker: ['熔断器', 'Breakers'],
  probe: ['探测', 'Probes'],
  engine: ['引擎', 'Engines'],
  promotion: ['换版', 'Promotions'],
  drill: ['演习', 'Drills'],
  gateway: ['网关', 'Gateway'],
}

const t = talk({
  fault: ['{0}：{1}', '{0}: {1}'],
  faultTo: ['{0}：{1}，改由 {2} 回答', '{0}: {1}; {2} answered instead'],
  handover: ['{0} 答到一半{1}，由 {2} 接着答完', '{0} broke off ({1}); {2} went on with the answer'],
  breaker: ['{0} 的{1}：{2} → {3}', '{0} for {1}: {2} → {3}'],
  probe: ['探测 {0}：{1}', 'Probe of {0}: {1}'],
  engine: ['引擎 {0}：{1}', 'Engine {0}: {1}'],
  promotion: ['{0} 换版 {1}：{2}', '{0} to release {1}: {2}'],
  drill: ['演习结束：守住 {0}', 'Drill ended: {0} kept'],
  by: ['{0}（操作人：{1}）', '{0} (by {1})'],
  times: ['{0}（{1} 次）', '{0} ({1} times)'],
})

/** A moment as a sentence. */
export function sentence(moment: Moment): string {
  const who = moment.upstream ?? ''
  const plain = {
    fault: () => (moment.to ? t('faultTo', who, named(moment.word), moment.to) : t('fault', who, named(moment.word))),
    handover: () => t('handover', who, named(moment.word), moment.to ?? ''),
    breaker: () => t('breaker', who, named(moment.operation ?? ''), named(moment.before ?? ''), named(moment.word)),
    probe: () => t('probe', who, named(moment.word)),
    engine: () => t('engine', who, named(moment.word)),
    promotion: () => t('promotion', who, moment.to ?? '', named(moment.word)),
    drill: () => t('drill', moment.detail ?? ''),
    gateway: () => named(moment.word),
  }[moment.kind]?.() ?? moment.word
  const counted = (moment.count ?? 1) > 1 ? t('times', plain, moment.count ?? 1) : plain
  return moment.by ? t('by', counted, moment.by) : counted
}

/** How grave it is, for its colour; words and shapes say it as well. */
export function grave(moment: Moment): 'bad' | 'warn' | 'good' | 'calm' {
  const word = moment.word
  if (moment.kind === 'handover' || ['half_open', 'isolated', 'rolled_back', 'starting', 'probing', 'sharing'].includes(word)) return 'warn'
  if (moment.kind === 'fault' || ['open', 'backing_off', 'failed'].includes(word)) return 'bad'
  if (moment.kind === 'probe') return word === 'ok' ? 'good' : 'bad'
  return ['closed', 'warm', 'finished', 'passed'].includes(word) ? 'good' : 'calm'
}
