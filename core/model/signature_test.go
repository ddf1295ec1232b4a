package model_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/dsse"
)

func stored(t testing.TB, p model.Package) memory {
	t.Helper()
	store := memory{}
	require.NoError(t, p.Write(context.Background(), store))
	return store
}

// One changed bit of any file of a package is refused, as is any file that is shorter, longer or gone.
func TestAnyChangeOfAPackageIsRefused(t *testing.T) {
	t.Parallel()
	ctx, keys := context.Background(), keyring(t, 1)
	p := packed(t, manifest(), keys)
	whole := stored(t, p)
	require.Len(t, whole, 4)
	names := slices.Sorted(maps.Keys(whole))
	rapid.Check(t, func(t *rapid.T) {
		store := maps.Clone(whole)
		name := rapid.SampledFrom(names).Draw(t, "file")
		b := bytes.Clone(store[name])
		switch rapid.SampledFrom([]string{"flip", "cut", "grow", "remove"}).Draw(t, "change") {
		case "flip":
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			store[name] = b
		case "cut":
			store[name] = b[:rapid.IntRange(0, len(b)-1).Draw(t, "to")]
		case "grow":
			store[name] = append(b, rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "more")...)
		case "remove":
			delete(store, name)
		}
		_, err := model.Read(ctx, store, p.Ref(), keys)
		require.Error(t, err)
	})
}

func TestCorruptPackageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx, keys := context.Background(), keyring(t, 1)
	p := packed(t, manifest(), keys)
	for _, file := range []string{model.ModelFile, model.ManifestFile, model.ExtrasFile} {
		store, key := stored(t, p), p.URI()+"/"+file
		b := bytes.Clone(store[key])
		b[len(b)/2] ^= 1
		store[key] = b
		_, err := model.Read(ctx, store, p.Ref(), keys)
		require.ErrorIs(t, err, model.ErrCorrupt, file)
		require.ErrorContains(t, err, file)
		delete(store, key)
		_, err = model.Read(ctx, store, p.Ref(), keys)
		require.ErrorContains(t, err, "no object")
	}
}

func TestOnlyTrustedSignaturesCount(t *testing.T) {
	t.Parallel()
	ctx, ours, theirs := context.Background(), keyring(t, 1), keyring(t, 2)
	p := packed(t, manifest(), ours)
	read := func(store memory, keys *model.Keyring) error {
		_, err := model.Read(ctx, store, p.Ref(), keys)
		return err
	}
	require.NoError(t, read(stored(t, p), ours))

	err := read(stored(t, p), theirs)
	require.ErrorIs(t, err, model.ErrUntrusted, "another key")
	require.ErrorContains(t, err, ours.KeyID()[:12])
	require.ErrorContains(t, err, "--trusted-key")
	for _, nobody := range []*model.Keyring{nil, {}} {
		err = read(stored(t, p), nobody)
		require.ErrorIs(t, err, model.ErrUntrusted)
		require.ErrorContains(t, err, "--trusted-key")
	}

	unsigned := stored(t, p)
	delete(unsigned, p.URI()+"/"+model.SignatureFile)
	err = read(unsigned, ours)
	require.ErrorIs(t, err, model.ErrUntrusted, "a package of before there were signatures")
	require.ErrorContains(t, err, "train the model again")

	m := manifest()
	m.Version = "8"
	swapped := stored(t, p)
	swapped[p.URI()+"/"+model.SignatureFile] = packed(t, m, ours).Signature
	err = read(swapped, ours)
	require.ErrorIs(t, err, model.ErrUntrusted, "the signature of another version")
	require.ErrorContains(t, err, "version 8 of flight-delay")

	forged := stored(t, p)
	var e dsse.Envelope
	require.NoError(t, json.Unmarshal(packed(t, manifest(), theirs).Signature, &e))
	e.Signatures[0].KeyID = ours.KeyID()
	text, err := json.Marshal(e)
	require.NoError(t, err)
	forged[p.URI()+"/"+model.SignatureFile] = text
	require.ErrorIs(t, read(forged, ours), model.ErrUntrusted, "a key under another's name")
}

// A whole package, rightly signed, in the place of another version is none.
func TestSwappedPackagesAreRefused(t *testing.T) {
	t.Parallel()
	ctx, keys := context.Background(), keyring(t, 1)
	p := packed(t, manifest(), keys)
	m := manifest()
	m.Version = "8"
	other := packed(t, m, keys)
	store := memory{}
	for name, b := range stored(t, other) {
		store[p.URI()+name[len(other.URI()):]] = b
	}
	_, err := model.Read(ctx, store, p.Ref(), keys)
	require.ErrorIs(t, err, model.ErrCorrupt)
	ref := p.Ref()
	ref.SHA256 = other.SHA256 // even when the ledger's digest was changed too
	_, err = model.Read(ctx, store, ref, keys)
	require.ErrorIs(t, err, model.ErrCorrupt)
	require.ErrorContains(t, err, "it is version 8")
}

// The statement is one that tools of in-toto read.
func TestStatement(t *testing.T) {
	t.Parallel()
	p := packed(t, manifest(), keyring(t, 1))
	e, err := dsse.Decode(p.Signature)
	require.NoError(t, err)
	require.Equal(t, "application/vnd.in-toto+json", e.PayloadType)
	require.JSONEq(t, `{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://tidemill.dev/model-package/v1",
		"predicate": {"model": "flight-delay", "version": "7", "snapshot": "abc", "cycle": "c1"},
		"subject": [
			{"name": "extras.tar.gz", "digest": {"sha256": "`+p.Manifest.Files[model.ExtrasFile]+`"}},
			{"name": "manifest.json", "digest": {"sha256": "`+p.SHA256+`"}},
			{"name": "model.onnx", "digest": {"sha256": "`+p.Manifest.Files[model.ModelFile]+`"}}]}`, string(e.Payload))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	text, err := model.NewSigningKey(nil)
	require.NoError(t, err)
	key, err := model.ParseSigningKey(text)
	require.NoError(t, err)
	public, err := model.PublicPEM(key)
	require.NoError(t, err)
	second, err := model.NewSigningKey(nil)
	require.NoError(t, err)
	require.NotEqual(t, text, second)
	two, err := model.ParseSigningKey(second)
	require.NoError(t, err)
	more, err := model.PublicPEM(two)
	require.NoError(t, err)
	trusted, err := model.ParseTrustedKeys(append(public, more...))
	require.NoError(t, err)
	require.Equal(t, []ed25519.PublicKey{key.Public().(ed25519.PublicKey), two.Public().(ed25519.PublicKey)}, trusted)

	signing, err := model.NewKeyring(key)
	require.NoError(t, err)
	verifying, err := model.NewKeyring(nil, trusted...)
	require.NoError(t, err)
	require.Empty(t, verifying.KeyID())
	require.Len(t, verifying.Trusts(), 2)
	require.Contains(t, verifying.Trusts(), signing.KeyID())
	p := packed(t, manifest(), signing)
	_, err = model.Read(context.Background(), stored(t, p), p.Ref(), verifying)
	require.NoError(t, err)
}

func TestWrongKeysSayHowToMakeThem(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(curve)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(curve.Public())
	require.NoError(t, err)
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	for name, text := range map[string][]byte{"empty": nil, "no PEM": []byte("secret"), "public": block("PUBLIC KEY", public),
		"no key": block("PRIVATE KEY", []byte("x")), "another kind": block("PRIVATE KEY", private)} {
		_, err := model.ParseSigningKey(text)
		require.ErrorContains(t, err, "openssl genpkey -algorithm ed25519", name)
	}
	for name, text := range map[string][]byte{"empty": nil, "no PEM": []byte("secret"), "private": block("PRIVATE KEY", private),
		"no key": block("PUBLIC KEY", []byte("x")), "another kind": block("PUBLIC KEY", public)} {
		_, err := model.ParseTrustedKeys(text)
		require.ErrorContains(t, err, "-pubout", name)
	}
}
