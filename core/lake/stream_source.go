package lake

/*
void tidemillStreamBind(void *);
void tidemillStreamInit(void *);
void tidemillStreamNext(void *, void *);
typedef void (*tidemill_stream_bind)(void *);
typedef void (*tidemill_stream_next)(void *, void *);
*/
import "C"

import (
	"errors"
	"runtime/cgo"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// sourceName is the table function that streams read: its argument is the stream's handle.
const sourceName = "tidemill_stream"

// register makes the source known to all connections of a DuckDB.
func register(conn bindings.Connection) error {
	f := bindings.CreateTableFunction()
	defer bindings.DestroyTableFunction(&f)
	bindings.TableFunctionSetName(f, sourceName)
	handle := bindings.CreateLogicalType(bindings.TypeBigInt)
	bindings.TableFunctionAddParameter(f, handle)
	bindings.DestroyLogicalType(&handle)
	bindings.TableFunctionSetBind(f, unsafe.Pointer(C.tidemill_stream_bind(C.tidemillStreamBind)))
	bindings.TableFunctionSetInit(f, unsafe.Pointer(C.tidemill_stream_bind(C.tidemillStreamInit)))
	bindings.TableFunctionSetFunction(f, unsafe.Pointer(C.tidemill_stream_next(C.tidemillStreamNext)))
	if bindings.RegisterTableFunction(conn, f) == bindings.StateError {
		return errors.New("the source of streams could not be registered")
	}
	return nil
}

//export tidemillStreamBind
func tidemillStreamBind(info unsafe.Pointer) {
	bind := bindings.BindInfo{Ptr: info}
	arg := bindings.BindGetParameter(bind, 0)
	s := cgo.Handle(bindings.GetInt64(arg)).Value().(*Stream)
	bindings.DestroyValue(&arg)
	s.columns(func(name string, kind bindings.Type) {
		t := bindings.CreateLogicalType(kind)
		bindings.BindAddResultColumn(bind, name, t)
		bindings.DestroyLogicalType(&t)
	})
	bindings.BindSetBindData(bind, unsafe.Pointer(s.handle), nil) // it stays where it is while the stream is open
}

//export tidemillStreamInit
func tidemillStreamInit(info unsafe.Pointer) {
	bindings.InitSetMaxThreads(bindings.InitInfo{Ptr: info}, 1) // one source gives in one order
}

//export tidemillStreamNext
func tidemillStreamNext(info, chunk unsafe.Pointer) {
	handle := (*cgo.Handle)(bindings.FunctionGetBindData(bindings.FunctionInfo{Ptr: info}))
	handle.Value().(*Stream).next(bindings.DataChunk{Ptr: chunk})
}
