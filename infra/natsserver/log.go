package natsserver

import (
	"fmt"
	"sync"

	"go.uber.org/zap"
)

// serverLog gives the server's lines to zap and keeps the last fatal one: the server only logs why it can't start.
type serverLog struct {
	log *zap.SugaredLogger

	mu    sync.Mutex
	fatal string
}

func (l *serverLog) lastFatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debugf("nats: "+format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Infof("nats: "+format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Warnf("nats: "+format, v...) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.fatal = fmt.Sprintf(format, v...)
	l.mu.Unlock()
	l.log.Errorf("nats: "+format, v...)
}
