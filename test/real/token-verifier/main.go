// Verifies a token as the API server of an EKS cluster does, with the code that it uses. Only the way to STS is another:
// every request goes to a server on the loopback interface, and says in its Host whom it was meant for.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"sigs.k8s.io/aws-iam-authenticator/pkg/token"
)

type localSTS struct{ address string }

func (sts localSTS) RoundTrip(request *http.Request) (*http.Response, error) {
	redirected := request.Clone(request.Context())
	redirected.Host = request.URL.Host
	redirected.URL.Scheme = "http"
	redirected.URL.Host = sts.address
	return (&http.Transport{}).RoundTrip(redirected)
}

// Arguments: cluster, partition, Region of the cluster, host:port of the local STS. The token comes on standard input.
// Prints the identity, or the refusal and its kind, as JSON.
func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: token-verifier CLUSTER PARTITION REGION STS_ADDRESS <TOKEN")
		os.Exit(2)
	}
	given, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The verifier's client has no transport of its own.
	http.DefaultTransport = localSTS{os.Args[4]}
	identity, err := token.NewVerifier(os.Args[1], os.Args[2], os.Args[3]).Verify(string(given))
	var answer any = identity
	if err != nil {
		kind := "other"
		var malformed token.FormatError
		var refused token.STSError
		if errors.As(err, &malformed) {
			kind = "malformed"
		} else if errors.As(err, &refused) {
			kind = "refused by STS"
		}
		answer = map[string]string{"kind": kind, "message": err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
