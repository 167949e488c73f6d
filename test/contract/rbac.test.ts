import { describeRbac } from './rbac.ts';
import { startEmbeddedServer } from './server.ts';

describeRbac('the embedded cluster', startEmbeddedServer);
