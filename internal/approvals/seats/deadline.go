package seats

import "time"

// AddBusiness returns the moment when a duration of business time has passed after t: all
// hours of Monday to Friday in the zone count, Saturday and Sunday do not. One business
// day is 24 hours of it.
func AddBusiness(t time.Time, d time.Duration, zone *time.Location) time.Time {
	t = t.In(zone)
	for {
		midnight := time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, zone)
		if !midnight.After(t) {
			// Where clocks change at midnight there is none, and the hour before was returned.
			midnight = time.Date(t.Year(), t.Month(), t.Day()+1, 1, 0, 0, 0, zone)
		}
		if day := t.Weekday(); day != time.Saturday && day != time.Sunday {
			if left := midnight.Sub(t); d > left {
				d -= left
			} else {
				return t.Add(d).UTC()
			}
		}
		t = midnight
	}
}

// Day is one business day.
const Day = 24 * time.Hour

// Deadlines are the moments of a stage at which people are reminded, at which others are
// asked, and at which it ends: after one and two thirds of its business days, and at their end.
type Deadlines struct {
	Remind, Escalate, Due time.Time
}

// DeadlinesOf returns the moments of a stage that opens at t and has the given business days.
func DeadlinesOf(t time.Time, days int, zone *time.Location) Deadlines {
	third := time.Duration(days) * Day / 3
	return Deadlines{
		Remind: AddBusiness(t, third, zone), Escalate: AddBusiness(t, 2*third, zone),
		Due: AddBusiness(t, time.Duration(days)*Day, zone),
	}
}
