// Package arrows knows which package of this repository may import which, and finds the imports that break it:
//
//	schemas <- events <- {core, infra} <- workers <- services <- e2e
//
// core and infra don't know each other. A service never imports another: they meet in facts. Only services/platform
// and services/cmd connect services. Some outside modules have one room each (see owners).
package arrows

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the import path that every package of the repository begins with.
const Module = "github.com/tidemill/tidemill"

// Package is one package of the import graph, its tests included.
type Package struct {
	Path    string   // import path
	Imports []string // of its code
	Tests   []string // imports of its test files
	Cgo     bool     // it has cgo files of its own
}

// Violation is one import that must not be.
type Violation struct{ From, To, Why string }

func (v Violation) String() string { return fmt.Sprintf("%s imports %s: %s", v.From, v.To, v.Why) }

// rooms has what each room may import besides itself. dev is infra/dev, the tools: nobody imports them.
var rooms = map[string][]string{
	"schemas":   {},
	"events":    {"schemas"},
	"core":      {"schemas", "events"},
	"infra":     {"schemas", "events"},
	"workers":   {"schemas", "events", "core", "infra"},
	"dashboard": {},
	"services":  {"schemas", "events", "core", "infra", "workers", "dashboard", "examples"},
	"e2e":       {"schemas", "events", "core", "infra", "workers", "services", "dashboard", "examples"},
	"examples":  {"events"},
	"dev":       {"schemas", "events", "core"},
}

// owners has the outside modules that one folder alone may import; tools and end-to-end tests are free.
var owners = map[string]string{
	"github.com/duckdb/":                "core/lake",
	"github.com/marcboeker/go-duckdb":   "core/lake",
	"github.com/yalue/onnxruntime_go":   "core/model",
	"gocloud.dev/":                      "core/lake",
	"github.com/ThreeDotsLabs/":         "infra",
	"github.com/nats-io/nats-server/v2": "infra/natsserver",
	"github.com/redis/go-redis/":        "infra/online",
}

// banned has what a room may not import, because it decides and does not talk, or because outsiders import it.
var banned = map[string][]string{
	"core":    {"net/http", "github.com/nats-io/", "github.com/synadia-io/", "github.com/ThreeDotsLabs/", "github.com/go-chi/", "github.com/danielgtaylor/huma/"},
	"schemas": {"net/http", "github.com/nats-io/", "github.com/synadia-io/"},
	"events":  {"net/http", "github.com/nats-io/nats-server/"},
}

// Check finds every import of ours that breaks the arrows, in the order of packages.
func Check(packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		for _, to := range p.Imports {
			found = appendWhy(found, p.Path, to, false)
		}
		for _, to := range p.Tests {
			found = appendWhy(found, p.Path, to, true)
		}
	}
	return append(found, light(packages)...)
}

func appendWhy(found []Violation, from, to string, test bool) []Violation {
	if why := refuse(from, to, test); why != "" && !slices.Contains(found, Violation{from, to, why}) {
		return append(found, Violation{from, to, why})
	}
	return found
}

// refuse says why the package from may not import to, or "". Tests may use real outside engines (a NATS server, an
// HTTP listener): only the arrows between our own rooms hold for them.
func refuse(from, to string, test bool) string {
	here, ok := inside(from)
	if !ok {
		return ""
	}
	room := roomOf(here)
	if _, known := rooms[room]; !known {
		return fmt.Sprintf("no room is called %s: name it in infra/dev/arrows or move the package", room)
	}
	there, ours := inside(to)
	if !ours {
		if test {
			return ""
		}
		return refuseOutside(here, room, to)
	}
	target := roomOf(there)
	switch {
	case target == "dev" && room == "dev":
		return ""
	case target == room && room == "services":
		return refuseService(here, there)
	case target == room || slices.Contains(rooms[room], target):
		return ""
	}
	return fmt.Sprintf("%s may not import %s", room, target)
}

func refuseOutside(here, room, to string) string {
	for prefix, owner := range owners {
		if hasPath(to, prefix) && !under(here, owner) && room != "dev" && room != "e2e" {
			return fmt.Sprintf("only %s may import it", owner)
		}
	}
	if room == "events" && under(here, "events/client") {
		return "" // the client talks to the broker and over HTTP: that is its work
	}
	for _, prefix := range banned[room] {
		if hasPath(to, prefix) {
			return fmt.Sprintf("%s may not talk to brokers or over HTTP", room)
		}
	}
	return ""
}

// refuseService holds services apart. What they share are internal packages and the wire types in services/api.
func refuseService(here, there string) string {
	from, to := service(here), service(there)
	switch {
	case from == to, to == "internal", to == "api":
		return ""
	case from == "internal", from == "api":
		return fmt.Sprintf("services/%s is shared by services and may not know one", from)
	case from == "platform" && to != "cmd", from == "cmd":
		return ""
	}
	return "services meet in facts, they never import each other"
}

// light finds cgo below the modules that outsiders import: they must build without a C compiler.
func light(packages []Package) []Violation {
	byPath := map[string]Package{}
	for _, p := range packages {
		byPath[p.Path] = p
	}
	var found []Violation
	for _, p := range packages {
		here, ours := inside(p.Path)
		if room := roomOf(here); !ours || (room != "events" && room != "schemas") {
			continue
		}
		if heavy := firstCgo(p.Path, byPath, map[string]bool{}); heavy != "" {
			found = append(found, Violation{p.Path, heavy, "it needs cgo, and outsiders build this module without"})
		}
	}
	return found
}

func firstCgo(path string, byPath map[string]Package, seen map[string]bool) string {
	if seen[path] {
		return ""
	}
	seen[path] = true
	p, listed := byPath[path]
	if !listed {
		return ""
	}
	if p.Cgo {
		return path
	}
	for _, to := range p.Imports {
		if heavy := firstCgo(to, byPath, seen); heavy != "" {
			return heavy
		}
	}
	return ""
}

// inside cuts Module off an import path: "core/lake", true.
func inside(path string) (string, bool) {
	path, _, _ = strings.Cut(path, " ") // "x [x.test]", as go list names test variants
	if path == Module {
		return "", true
	}
	return strings.CutPrefix(path, Module+"/")
}

func roomOf(path string) string {
	if under(path, "infra/dev") {
		return "dev"
	}
	room, _, _ := strings.Cut(path, "/")
	return room
}

// service is the second element of services/x/...
func service(path string) string {
	_, rest, _ := strings.Cut(path, "/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// hasPath: prefix ends with a slash and means everything below, or is a whole path.
func hasPath(path, prefix string) bool {
	return under(path, strings.TrimSuffix(prefix, "/"))
}
