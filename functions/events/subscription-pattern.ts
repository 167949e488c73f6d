/**
 * The filter pattern of the CloudWatch Logs subscription on `/aws/eks/<cluster>/cluster`: it delivers only the audit
 * lines that can have changed what an HPA depends on. `mayAffectHpa` in audit-event.ts is the same predicate in
 * TypeScript, and a test holds the two together.
 *
 * A pattern may have 1,024 characters. `delete*` is delete and deletecollection. An HPA counts only when Envoy Gateway
 * has just created it: a creation under way while autoscaling is removed leaks with no further event.
 */
export const SUBSCRIPTION_PATTERN = [
  '{ $.stage = "ResponseComplete" && $.responseStatus.code >= 200 && $.responseStatus.code < 300',
  '&& $.objectRef.subresource NOT EXISTS && $.requestURI != "*dryRun=All*"',
  '&& ($.verb = "create" || $.verb = "update" || $.verb = "patch" || $.verb = "delete*")',
  '&& (($.objectRef.apiGroup = "gateway.envoyproxy.io" && $.objectRef.resource = "envoyproxies")',
  '|| ($.objectRef.apiGroup = "gateway.networking.k8s.io"',
  '&& ($.objectRef.resource = "gateways" || $.objectRef.resource = "gatewayclasses"))',
  '|| ($.objectRef.resource = "configmaps" && $.objectRef.name = "envoy-gateway-config")',
  '|| ($.objectRef.resource = "horizontalpodautoscalers" && $.responseStatus.code = 201',
  '&& $.requestURI = "*fieldManager=envoy-gateway*")) }',
].join(' ');
