/** The source of every EventBridge event of this program. */
export const EVENT_SOURCE = 'envoy-hpa-reaper';
