/** Where each page stands, and who may see it. Addresses are behind a `#`: the gateway's own paths are its API's. */
import type { Component } from 'vue'
import { createRouter, createWebHashHistory, type RouteRecordRaw } from 'vue-router'
import { type Permission, may } from './session'
import type { Pair } from './words'

export interface Place {
  path: string
  name: Pair
  icon: string
  needs: Permission
  page: () => Promise<Component>
}

/** In the order of the menu. */
export const PLACES: readonly Place[] = [
  { path: '/ask', name: ['问答', 'Ask'], icon: 'ask', needs: 'call', page: () => import('../pages/ask/AskPage.vue') },
  { path: '/draw', name: ['绘图', 'Draw'], icon: 'draw', needs: 'call', page: () => import('../pages/draw/DrawPage.vue') },
  { path: '/overview', name: ['总览', 'Overview'], icon: 'overview', needs: 'operate', page: () => import('../pages/overview/OverviewPage.vue') },
  { path: '/models', name: ['模型', 'Models'], icon: 'models', needs: 'operate', page: () => import('../pages/models/ModelsPage.vue') },
  { path: '/drill', name: ['演习', 'Drill'], icon: 'drill', needs: 'operate', page: () => import('../pages/drill/DrillPage.vue') },
  { path: '/govern', name: ['治理', 'Govern'], icon: 'govern', needs: 'govern', page: () => import('../pages/govern/GovernPage.vue') },
  { path: '/usage', name: ['用量', 'Usage'], icon: 'usage', needs: 'audit', page: () => import('../pages/usage/UsagePage.vue') },
  { path: '/audit', name: ['审计', 'Audit'], icon: 'audit', needs: 'audit', page: () => import('../pages/audit/AuditPage.vue') },
]

export const mine = (): Place[] => PLACES.filter((place) => may(place.needs))

export const router = createRouter({
  history: createWebHashHistory('/'),
  routes: [
    // What follows a page's own path is its own: `/govern/keys`, `/audit/req_…`.
    ...PLACES.map(({ path, page }): RouteRecordRaw => ({ path: `${path}/:rest(.*)*`, component: page })),
    { path: '/:elsewhere(.*)*', component: () => import('./Elsewhere.vue') },
  ],
})
