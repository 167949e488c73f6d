import { describeEventPath } from '../contract/event-path.ts';
import { realServer } from './server.ts';

describeEventPath('kube-apiserver', realServer);
