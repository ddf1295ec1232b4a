package dsse_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidemill/tidemill/core/model/dsse"
)

const kind = "application/vnd.in-toto+json"

func key(t testing.TB, seed byte) (ed25519.PrivateKey, ed25519.PublicKey, string) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	id, err := dsse.KeyID(public)
	require.NoError(t, err)
	return private, public, id
}

func TestSignedBytesVerify(t *testing.T) {
	t.Parallel()
	private, public, id := key(t, 1)
	b, err := dsse.Sign(kind, []byte(`{"a":1}`), id, private)
	require.NoError(t, err)
	again, err := dsse.Sign(kind, []byte(`{"a":1}`), id, private)
	require.NoError(t, err)
	require.Equal(t, b, again, "the same payload and key give the same bytes")
	e, err := dsse.Decode(b)
	require.NoError(t, err)
	require.Equal(t, id, e.KeyID())
	require.NoError(t, e.Verify(kind, public))
	require.JSONEq(t, `{"a":1}`, string(e.Payload))
}

// The worked example of the specification's protocol.md, with its own words: the encoding that is signed.
func TestPreAuthenticationEncoding(t *testing.T) {
	t.Parallel()
	private, public, id := key(t, 1)
	b, err := dsse.Sign("http://example.com/HelloWorld", []byte("hello world"), id, private)
	require.NoError(t, err)
	e, err := dsse.Decode(b)
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, []byte("DSSEv1 29 http://example.com/HelloWorld 11 hello world"), e.Signatures[0].Sig))
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	private, public, id := key(t, 1)
	_, other, _ := key(t, 2)
	b, err := dsse.Sign(kind, []byte("body"), id, private)
	require.NoError(t, err)
	e, err := dsse.Decode(b)
	require.NoError(t, err)
	require.ErrorIs(t, e.Verify(kind, other), dsse.ErrSignature)
	require.ErrorIs(t, e.Verify(kind, nil), dsse.ErrSignature)
	require.ErrorIs(t, e.Verify("text/plain", public), dsse.ErrSignature, "a payload of one type is none of another")

	two := e
	two.Signatures = append(two.Signatures, two.Signatures[0])
	doubled, err := json.Marshal(two)
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"empty": nil, "no JSON": []byte("signature"), "null": []byte("null"), "list": []byte("[]"), "no signature": []byte("{}"),
		"spaces": append([]byte(" "), b...), "newline": append(bytes.Clone(b), '\n'), "truncated": b[:len(b)-1],
		"two": doubled, "an unknown field": append([]byte(`{"more":1,`), b[1:]...),
		"huge": append(bytes.Clone(b), bytes.Repeat([]byte(" "), dsse.MaxEnvelope)...),
	} {
		_, err := dsse.Decode(bad)
		require.ErrorIs(t, err, dsse.ErrEnvelope, name)
	}
}

// Every single bit of an envelope matters.
func TestAnyChangedBitIsRefused(t *testing.T) {
	t.Parallel()
	private, public, id := key(t, 1)
	b, err := dsse.Sign(kind, []byte(`{"subject":[{"name":"model.onnx"}]}`), id, private)
	require.NoError(t, err)
	for i := range b {
		for bit := range 8 {
			changed := bytes.Clone(b)
			changed[i] ^= 1 << bit
			e, err := dsse.Decode(changed)
			if err == nil && e.KeyID() == id { // whoever verifies looks the key up by its name
				err = e.Verify(kind, public)
			} else if err == nil {
				err = dsse.ErrSignature
			}
			require.Error(t, err, "byte %d, bit %d: %s", i, bit, changed)
		}
	}
}

func FuzzDecode(f *testing.F) {
	private, public, id := key(f, 1)
	b, err := dsse.Sign(kind, []byte("body"), id, private)
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"payloadType":"","payload":"","signatures":[{"keyid":"","sig":""}]}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := dsse.Decode(in)
		if err != nil {
			require.ErrorIs(t, err, dsse.ErrEnvelope)
			return
		}
		if e.Verify(kind, public) == nil && e.KeyID() == id {
			require.Equal(t, b, in, "a forged envelope verifies")
		}
	})
}
