import type { InlineConfig } from 'vite';

export const config: InlineConfig;
