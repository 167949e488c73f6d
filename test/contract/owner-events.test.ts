import { describeOwnerEvents } from './owner-events.ts';
import { startEmbeddedServer } from './server.ts';

describeOwnerEvents('Events on the embedded cluster', () => startEmbeddedServer());
