import { describeOwnerEvents } from '../contract/owner-events.ts';
import { realServer } from './server.ts';

describeOwnerEvents('Events on kube-apiserver', realServer);
