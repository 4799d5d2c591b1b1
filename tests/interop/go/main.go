// Verifies tokens as a Go service would, each cache of the JWKS on its own.
//
//	caching ISSUER CACHES < REQUESTS
//
// CACHES is a JSON list of {"jwks", "seconds"}: how long a fetched key set is believed; 0 is not at all, and
// -1 is for ever, which is how go-oidc keeps it, until it meets a key that it does not know. A request is a
// line {"token", "audience"}, its answer a line with a list: null for accepted, else the reason, per cache.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
)

var algorithms = []string{"RS256", "ES256"}

type cache struct {
	JWKS    string  `json:"jwks"`
	Seconds float64 `json:"seconds"`
}

type request struct {
	Token    string `json:"token"`
	Audience string `json:"audience"`
}

type verify func(request) error

func main() {
	issuer := os.Args[1]
	var caches []cache
	must(json.Unmarshal([]byte(os.Args[2]), &caches))
	verifiers := make([]verify, len(caches))
	for i, each := range caches {
		verifiers[i] = each.verifier(issuer)
	}
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked request
		must(json.Unmarshal(lines.Bytes(), &asked))
		verdicts := make([]*string, len(verifiers))
		for i, verify := range verifiers {
			if err := verify(asked); err != nil {
				reason := err.Error()
				verdicts[i] = &reason
			}
		}
		must(answers.Encode(verdicts))
	}
}

func (c cache) verifier(issuer string) verify {
	if c.Seconds < 0 {
		return c.forever(issuer)
	}
	if c.Seconds == 0 {
		return func(asked request) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			return parse(issuer, asked, c.fetched(ctx, 0))
		}
	}
	var keys keyfunc.Keyfunc // fetched when it is first needed, then on its own, time and again
	return func(asked request) error {
		if keys == nil {
			keys = c.fetched(context.Background(), time.Duration(c.Seconds*float64(time.Second)))
		}
		return parse(issuer, asked, keys)
	}
}

func (c cache) forever(issuer string) verify {
	keys := oidc.NewRemoteKeySet(context.Background(), c.JWKS)
	return func(asked request) error {
		config := &oidc.Config{ClientID: asked.Audience, SupportedSigningAlgs: algorithms}
		_, err := oidc.NewVerifier(issuer, keys, config).Verify(context.Background(), asked.Token)
		return err
	}
}

func (c cache) fetched(ctx context.Context, every time.Duration) keyfunc.Keyfunc {
	storage, err := jwkset.NewStorageFromHTTP(c.JWKS, jwkset.HTTPClientStorageOptions{Ctx: ctx, RefreshInterval: every})
	must(err)
	keys, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage})
	must(err)
	return keys
}

func parse(issuer string, asked request, keys keyfunc.Keyfunc) error {
	_, err := jwt.Parse(asked.Token, keys.Keyfunc, jwt.WithValidMethods(algorithms), jwt.WithIssuer(issuer),
		jwt.WithAudience(asked.Audience), jwt.WithExpirationRequired())
	return err
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
