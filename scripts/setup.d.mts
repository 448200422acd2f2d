export function buildDocs(folder: string): Promise<void>;
