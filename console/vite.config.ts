import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

const SITE = process.env['SAMPAN_CONSOLE_SITE'] ?? '../sampan/console/site'
const WORTH = 1024 // bytes: what is smaller goes into one packet anyhow

/** Compresses once, here, what the gateway would else compress for every browser. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(SITE, { recursive: true, encoding: 'utf8' })) {
        const path = join(SITE, name)
        if (!/\.(js|css|svg)$/.test(name) || statSync(path).size < WORTH) continue
        const data = readFileSync(path)
        writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }))
        writeFileSync(`${path}.br`, brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))
      }
    },
  }
}

export default defineConfig({
  base: '/console/',
  html: { cspNonce: '__NONCE__' }, // the gateway puts another one in with every page
  plugins: [vue(), compressed()],
  build: { outDir: SITE, emptyOutDir: true, target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: {
    proxy: Object.fromEntries(
      ['/v1', '/admin', '/auth', '/artifacts', '/ready', '/console/v1'].map((path) => [path, 'http://127.0.0.1:8000']),
    ),
  },
})
