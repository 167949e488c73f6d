import { describeRbac } from '../contract/rbac.ts';
import { realServer } from './server.ts';

describeRbac('kube-apiserver', realServer);
