import { describeReenabling } from './reenabling.ts';
import { startEmbeddedServer } from './server.ts';

describeReenabling(() => startEmbeddedServer({ record: false }));
