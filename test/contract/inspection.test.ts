import { describeInspection } from './inspection.ts';
import { startEmbeddedServer } from './server.ts';

describeInspection('doctor on the embedded cluster', () => startEmbeddedServer());
