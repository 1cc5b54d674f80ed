/** What a check of the audit found, said in the language of the person: the gateway says it in English. */
import { type Pair, say } from '../../shell/words'

export interface Problem {
  node: string
  number: number
  what: string
}

export interface Result {
  good: boolean
  nodes: number
  records: number
  seals: number
  dropped: number
  contents: number
  problems: Problem[]
  problem_count: number
  notes: string[]
}

export interface Check {
  state: 'never' | 'running' | 'done' | 'failed'
  started?: number
  ended?: number
  done?: number
  total?: number
  result?: Result
}

/** Each way in which the gateway says something, and the same for people. */
const PROBLEMS: readonly (readonly [RegExp, Pair])[] = [
  [/^(\S+) is not what was written: its hash does not fit$/, ['{0} 的内容与当初写下的不同：哈希对不上', '{0} is not what was written: its hash does not fit']],
  [/^missing: ([\d,]+) to ([\d,]+)$/, ['缺少第 {0} 到第 {1} 条记录', 'records {0} to {1} are missing']],
  [/^missing: ([\d,]+)$/, ['缺少第 {0} 条记录', 'record {0} is missing']],
  [/^(\S+) stands behind ([\d,]+): doubled, moved or put in$/, ['{0} 排在第 {1} 条之后：重复、移动过，或是插进来的', '{0} stands behind record {1}: it was doubled, moved or put in']],
  [/^the end is missing: it was sealed up to record ([\d,]+)$/, ['末尾被截掉：封存时曾到第 {0} 条', 'the end is missing: it was sealed up to record {0}']],
  [/^seal ([\d,]+) says that it had another hash$/, ['第 {0} 个封存写着另一个哈希：记录在封存之后被改过', 'seal {0} says that it had another hash: it was changed after it was sealed']],
  [/^seal ([\d,]+) does not bear the signature of what it says$/, ['第 {0} 个封存的签名不符：封存被改过', 'the signature of seal {0} does not fit: the seal was changed']],
  [/^seal ([\d,]+) was signed with another key, (\w+)$/, ['第 {0} 个封存是用另一把密钥签的：{1}', 'seal {0} was signed with another key, {1}']],
  [/^seal ([\d,]+) goes back behind the one before it$/, ['第 {0} 个封存倒退到前一个之前', 'seal {0} goes back behind the one before it']],
  [/^seal ([\d,]+) follows seal ([\d,]+): there are more or fewer$/, ['第 {0} 个封存紧跟在第 {1} 个之后：中间多了或少了', 'seal {0} follows seal {1}: there are more or fewer than were made']],
  [/^seals before ([\d,]+) are missing$/, ['第 {0} 个之前的封存缺失', 'the seals before {0} are missing']],
  [/^the content of (\S+) is missing$/, ['{0} 保留的问答内容不见了', 'the kept content of {0} is missing']],
  [/^the content of (\S+) is not what was kept$/, ['{0} 保留的问答内容被改过', 'the content of {0} is not what was kept']],
  [/^there is content of (\S+), which no record speaks of$/, ['存有 {0} 的问答内容，却没有这条记录', 'there is content of {0}, and no record speaks of it']],
  [/^the note of the dropped day (\S+) does not bear the signature of what it says$/, ['{0} 的删除说明签名不符', 'the signature of the note on the dropped day {0} does not fit']],
  [/^the note of the dropped day (\S+) was signed with another key, (\w+)$/, ['{0} 的删除说明是用另一把密钥签的：{1}', 'the note on the dropped day {0} was signed with another key, {1}']],
  [/^the note of the dropped day (\S+) counts wrong$/, ['{0} 的删除说明数目不对', 'the note on the dropped day {0} counts wrong']],
  [/^there are two notes of the dropped day (\S+)$/, ['{0} 有两份删除说明', 'there are two notes on the dropped day {0}']],
  [/^the note of the dropped day (\S+) goes on from another record$/, ['{0} 的删除说明接不上前面的记录', 'the note on the dropped day {0} goes on from another record']],
  [/^the note of the dropped day (\S+) belongs nowhere$/, ['{0} 的删除说明没有着落', 'the note on the dropped day {0} belongs nowhere']],
]

const NOTES: readonly (readonly [RegExp, Pair])[] = [
  [/^node (\w+): the last ([\d,]+) records are behind its last seal$/, ['节点 {0}：最后 {1} 条记录还没有封存，要等下一次封存才有签名。', 'Node {0}: the last {1} records wait for the next seal; nothing has been signed of them yet.']],
  [/^node (\w+): nothing is sealed, so nothing is signed$/, ['节点 {0}：还没有任何封存，所以没有签名可核对。', 'Node {0}: nothing has been sealed, so there is no signature to check.']],
  [/^node (\w+): no public key was given; its own (\w+) was believed\..*$/, ['节点 {0}：没有另外给出公钥，采信了它自己的 {1}。请与在那里运行 sampan audit key 得到的比对。', 'Node {0}: no public key was given, so its own {1} was believed. Compare it with what sampan audit key prints there.']],
]

function told(table: readonly (readonly [RegExp, Pair])[], text: string): string {
  for (const [form, pair] of table) {
    const found = form.exec(text)
    if (found) return say(pair, ...found.slice(1))
  }
  return text
}

/** What is wrong, in words; as the gateway says it where we know no better. */
export const problem = (what: string): string => told(PROBLEMS, what)
export const note = (text: string): string => told(NOTES, text)
/** The request id that a problem speaks of. */
export const call = (what: string): string => /\breq_\w+/.exec(what)?.[0] ?? ''
