package schemas

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed tidemill.schema.json resource facts
var files embed.FS

const (
	combined      = "tidemill.schema.json"
	schemaSuffix  = ".schema.json"
	factSuffix    = ".v1" + schemaSuffix
	exampleSuffix = ".v1.json"
)

// Kinds lists the resource kinds that have a schema.
func Kinds() []string { return []string{"Dataset", "Model", "RetrainingPolicy"} }

// Names lists every schema by its path in this module: "tidemill.schema.json", "resource/dataset.schema.json",
// "facts/model.ready.v1.schema.json" …, sorted.
func Names() []string {
	var out []string
	// Walking an embedded tree cannot fail.
	_ = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, schemaSuffix) {
			out = append(out, path)
		}
		return err
	})
	return out
}

// Facts lists the short types of all facts that have a schema: "model.ready".
func Facts() []string {
	var out []string
	for _, n := range Names() {
		if short, ok := strings.CutPrefix(n, "facts/"); ok {
			out = append(out, strings.TrimSuffix(short, factSuffix))
		}
	}
	return out
}

// File is the schema at one of the paths in Names.
func File(name string) ([]byte, error) {
	b, err := files.ReadFile(name)
	if err != nil || !strings.HasSuffix(name, schemaSuffix) {
		return nil, fmt.Errorf("no schema %q: see schemas.Names", name)
	}
	return b, nil
}

// Combined is the schema of any resource: it branches on the kind.
func Combined() ([]byte, error) { return File(combined) }

// Resource is the schema of one kind of resource.
func Resource(kind string) ([]byte, error) {
	name, err := resourceFile(kind)
	if err != nil {
		return nil, err
	}
	return File(name)
}

func resourceFile(kind string) (string, error) {
	for _, k := range Kinds() {
		if k == kind {
			return "resource/" + strings.ToLower(kind) + schemaSuffix, nil
		}
	}
	return "", fmt.Errorf("no kind %q: it must be one of %s", kind, strings.Join(Kinds(), ", "))
}

// Fact is the schema of a fact by its short type: "model.ready".
func Fact(short string) ([]byte, error) {
	b, err := files.ReadFile(factFile(short))
	if err != nil {
		return nil, fmt.Errorf("no fact %q has a schema: see schemas.Facts", short)
	}
	return b, nil
}

func factFile(short string) string { return "facts/" + short + factSuffix }

// Example is the golden example of a fact: a whole CloudEvent that uses every field.
func Example(short string) ([]byte, error) {
	b, err := files.ReadFile("facts/examples/" + short + exampleSuffix)
	if err != nil {
		return nil, fmt.Errorf("no fact %q has an example: see schemas.Facts", short)
	}
	return b, nil
}

// base is where the embedded files lie for the compiler; nothing is ever loaded from there.
const base = "tidemill:///"

// compiled caches the compiled schemas: the embedded bytes never change, and compiling is slower than validating.
var compiled sync.Map // path -> func() (*jsonschema.Schema, error)

func compile(path string) (*jsonschema.Schema, error) {
	once, _ := compiled.LoadOrStore(path, sync.OnceValues(func() (*jsonschema.Schema, error) {
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		c.UseLoader(loader{})
		s, err := c.Compile(base + path)
		if err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", path, err)
		}
		return s, nil
	}))
	return once.(func() (*jsonschema.Schema, error))()
}

// loader reads embedded schemas only.
type loader struct{}

func (loader) Load(url string) (any, error) {
	b, err := File(strings.TrimPrefix(url, base))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

// ValidateResource checks a document against the schema of its kind. The error is a *jsonschema.ValidationError when the
// document breaks the schema; its SchemaURLs end in a JSON pointer into the bytes of Resource(kind).
func ValidateResource(kind string, document []byte) error {
	name, err := resourceFile(kind)
	if err != nil {
		return err
	}
	return validate(name, document)
}

// ValidateAny checks a document against the combined schema.
func ValidateAny(document []byte) error { return validate(combined, document) }

// ValidateFact checks a fact (a CloudEvent in structured JSON) against the schema of its short type.
func ValidateFact(short string, fact []byte) error {
	if _, err := Fact(short); err != nil {
		return err
	}
	return validate(factFile(short), fact)
}

func validate(path string, document []byte) error {
	s, err := compile(path)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return s.Validate(v)
}
