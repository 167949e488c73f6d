import { describeAccount } from './account.ts';

describeAccount('on embedded clusters');
