package certificates

import "github.com/prometheus/client_golang/prometheus"

// Metrics returns what the scan loop of this process tells an operator.
func (s *Service) Metrics() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, f)
	}
	eased := func(how string, f func(Pressure) int64) prometheus.Collector {
		return counter("vigilo_scans_eased_total", "Scheduled scans that got less time or were left out under pressure.",
			prometheus.Labels{"how": how}, func() float64 { return float64(f(s.Pressure())) })
	}
	return []prometheus.Collector{
		counter("vigilo_scans_total", "Scheduled scans that came to a result.", nil, func() float64 { return float64(s.LoopStats().Scanned) }),
		counter("vigilo_scans_missed_total", "Slots that passed since an address was busy for too long or a result could not be stored.", nil,
			func() float64 { return float64(s.LoopStats().Missed) }),
		gauge("vigilo_scans_running", "Scheduled scans that are running.", func() float64 { return float64(s.LoopStats().Running) }),
		gauge("vigilo_scans_waiting", "Scheduled scans that wait for a busy address or network.", func() float64 { return float64(s.LoopStats().Waiting) }),
		gauge("vigilo_scan_lag_seconds", "How late all but one in twenty of the last scheduled scans began.",
			func() float64 { return max(0, s.Pressure().Lag.Seconds()) }),
		gauge("vigilo_scan_due", "Hosts that are due and not begun, counted up to twice what is scanned at once.",
			func() float64 { return float64(s.Pressure().Due) }),
		gauge("vigilo_scan_pressure", "0 calm, 1 dead hosts get less time, 2 their intervals are stretched, 3 frequent scans of valid hosts are shed.",
			func() float64 { return float64(s.Pressure().Level) }),
		eased("shortened", func(p Pressure) int64 { return p.Shortened }),
		eased("stretched", func(p Pressure) int64 { return p.Stretched }),
		eased("shed", func(p Pressure) int64 { return p.Shed }),
	}
}
