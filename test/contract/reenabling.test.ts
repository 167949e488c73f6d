import { describeReenabling } from './reenabling.ts';
import { startEmbeddedServer } from './server.ts';

describeReenabling('the embedded cluster', () => startEmbeddedServer({ record: false }));
