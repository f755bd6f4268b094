package certificates

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// PressureLevel says how far the scanner goes to keep up (reliability.md 4.9). Each level
// includes those before it.
type PressureLevel int

// The levels of pressure.
const (
	// Calm: everything is scanned in its slot.
	Calm PressureLevel = iota
	// Hurried: hosts that failed 10 times in a row or more get 2 s to answer.
	Hurried
	// Stretched: those hosts are scanned in every second to fifth slot only.
	Stretched
	// Shedding: hosts that are scanned every 5 or 15 minutes and were valid at their last
	// scan miss every other slot. Theirs are the slots that tell least; a host that is scanned
	// once a day never misses one.
	Shedding
)

const (
	// longDown is how many failures in a row make a host one that hardly answers now.
	longDown = 10
	// hurriedTimeout is all that such a host gets.
	hurriedTimeout = 2 * time.Second
	// maxStretch is the longest that its interval becomes.
	maxStretch = 5
	// shedUpTo is the longest interval whose slots are shed.
	shedUpTo = 15 * time.Minute

	// levelTime is how long a level is given to help before the next one, and calmTime how
	// long it must be calm before one is taken back.
	levelTime = 30 * time.Second
	calmTime  = time.Minute
	// judgePause is how often it is judged.
	judgePause = 5 * time.Second
	// lagSamples is how many starts the lag is taken from.
	lagSamples = 256
)

// Pressure is what the scan loop of this process does to keep up.
type Pressure struct {
	Level PressureLevel
	Since time.Time
	// Due is how many hosts were due and not begun when last counted. It is not counted
	// beyond twice what is scanned at once.
	Due int
	// Lag is how late all but one in twenty of the last scans began.
	Lag time.Duration
	// Shortened, Stretched and Shed are how many scans of this process got less time, were
	// left out since the host hardly ever answers, and were left out of a shed class.
	Shortened, Stretched, Shed int64
}

// Sentence tells a person what is left out; it is empty while nothing is.
func (p Pressure) Sentence() string {
	const behind = "Scans are behind schedule."
	switch p.Level {
	case Calm:
		return ""
	case Hurried:
		return behind + " Hosts that have not answered for long get two seconds instead of twenty."
	case Stretched:
		return behind + " Hosts that have not answered for long are scanned less often."
	case Shedding:
		return behind + " Hosts that have not answered for long, and valid hosts with an interval of 5 or 15 minutes, are scanned less often."
	}
	return behind
}

// pressure judges whether the loop keeps up.
type pressure struct {
	pool int

	mu      sync.Mutex
	level   PressureLevel
	changed time.Time // when level became what it is
	strain  time.Time // when it was last behind
	judged  time.Time
	due     int
	lag     time.Duration
	lags    [lagSamples]time.Duration
	n       int // lags seen

	shortened, stretched, shed atomic.Int64
}

// began notes how late the scan of a slot began.
func (p *pressure) began(lag time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lags[p.n%lagSamples] = lag
	p.n++
}

// isTime reports whether it is time to judge again.
func (p *pressure) isTime(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.judged) >= judgePause
}

// judge moves the level by what is due and how late scans begin, given the shortest
// interval of any host.
func (p *pressure) judge(now time.Time, due int, shortest time.Duration) PressureLevel {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judged, p.due, p.lag = now, due, 0
	if known := slices.Sorted(slices.Values(p.lags[:min(p.n, lagSamples)])); len(known) > 0 {
		p.lag = known[(len(known)*95-1)/100]
	}
	if due == 0 {
		p.n = 0 // nobody waits: what was late before is history
	}
	behind := due > 2*p.pool || (due > 0 && shortest > 0 && p.lag > shortest/10)
	switch {
	case behind:
		p.strain = now
		if p.level < Shedding && (p.level == Calm || now.Sub(p.changed) >= levelTime) {
			p.level, p.changed = p.level+1, now
		}
	case p.level > Calm && now.Sub(p.strain) >= calmTime && now.Sub(p.changed) >= calmTime:
		p.level, p.changed = p.level-1, now
	}
	return p.level
}

func (p *pressure) now() Pressure {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Pressure{
		Level: p.level, Since: p.changed, Due: p.due, Lag: p.lag,
		Shortened: p.shortened.Load(), Stretched: p.stretched.Load(), Shed: p.shed.Load(),
	}
}

// handling is what the present level means for one host.
type handling int

const (
	asUsual handling = iota
	inHurry
	leaveOut
)

// handle decides about one slot of a host and counts what it leaves out. Scans beside the
// slots always take place.
func (p *pressure) handle(level PressureLevel, c claim, t target) handling {
	if level == Calm {
		return asUsual
	}
	// Hosts are left out in turn, not all in the same slot.
	turn := int64(c.HostID[15])
	if c.IntervalS > 0 {
		turn += c.Slot.Unix() / int64(c.IntervalS)
	}
	interval := time.Duration(c.IntervalS) * time.Second
	switch {
	case t.Failures >= longDown:
		stretch := min(maxStretch, 1+int64(t.Failures)/longDown)
		if level >= Stretched && c.IntervalS > 0 && turn%stretch != 0 {
			p.stretched.Add(1)
			return leaveOut
		}
		p.shortened.Add(1)
		return inHurry
	case level >= Shedding && c.IntervalS > 0 && interval <= shedUpTo && t.Status == Status(x509lint.StatusValid) && t.Failures == 0 && turn%2 != 0:
		p.shed.Add(1)
		return leaveOut
	}
	return asUsual
}

// Pressure returns what the scan loop of this process does to keep up. A process without
// one is calm.
func (s *Service) Pressure() Pressure { return s.scans.pressure.now() }
