import { describeEventPath } from './event-path.ts';
import { startEmbeddedServer } from './server.ts';

describeEventPath('the embedded cluster', startEmbeddedServer);
