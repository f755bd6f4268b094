package x509lint

import "time"

// ValidityDays returns the duration of a validity period in started days of 86,400 s,
// end inclusive, as the CA/Browser Forum counts.
func ValidityDays(notBefore, notAfter time.Time) int {
	life := Lifetime(notBefore, notAfter)
	days := int(life / day)
	if life%day > 0 {
		days++
	}
	return days
}

// MaxValidityDays returns how long a public certificate may last that begins at
// notBefore (Baseline Requirements as amended by SC-081v3).
func MaxValidityDays(notBefore time.Time) int {
	switch {
	case notBefore.Before(time.Date(2026, time.March, 15, 0, 0, 0, 0, time.UTC)):
		return 398
	case notBefore.Before(time.Date(2027, time.March, 15, 0, 0, 0, 0, time.UTC)):
		return 200
	case notBefore.Before(time.Date(2029, time.March, 15, 0, 0, 0, 0, time.UTC)):
		return 100
	}
	return 47
}

// ValidityTooLong reports whether a public certificate lasts longer than it may.
func ValidityTooLong(notBefore, notAfter time.Time) bool {
	return ValidityDays(notBefore, notAfter) > MaxValidityDays(notBefore)
}
